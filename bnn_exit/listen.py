"""`python -m bnn_exit.listen`; the command itself is `bnn_exit.commands.listen`."""

from bnn_exit.commands.listen import main

if __name__ == "__main__":
    raise SystemExit(main())
