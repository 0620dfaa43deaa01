"""`python -m wschat.chat.mint`: the same as `wschat token`."""

from wschat.cli.token import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
