"""`python -m bnn_exit.difficulty`; the command itself is `bnn_exit.commands.difficulty`."""

from bnn_exit.commands.difficulty import main

if __name__ == "__main__":
    raise SystemExit(main())
