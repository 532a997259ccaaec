"""`python -m bnn_exit.split`; the command itself is `bnn_exit.commands.split`."""

from bnn_exit.commands.split import main

if __name__ == "__main__":
    raise SystemExit(main())
