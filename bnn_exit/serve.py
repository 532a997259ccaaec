"""`python -m bnn_exit.serve`; the command itself is `bnn_exit.commands.serve`."""

from bnn_exit.commands.serve import main

if __name__ == "__main__":
    raise SystemExit(main())
