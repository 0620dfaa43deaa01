"""`python -m wschat.server`: the same as `wschat serve`."""

from wschat.cli.serve import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
