"""`python -m wschat.client`: the same as `wschat connect`."""

from wschat.cli.connect import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
