"""`python -m wschat.cli`: the command `wschat`."""

from wschat.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m wschat.cli")
