"""`python -m bnn_exit.search`; the command itself is `bnn_exit.commands.search`."""

from bnn_exit.commands.search import main

if __name__ == "__main__":
    raise SystemExit(main())
