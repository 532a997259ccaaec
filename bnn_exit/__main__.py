"""`python -m bnn_exit COMMAND ...`, the same as `bnn-exit COMMAND ...`."""

from bnn_exit.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
