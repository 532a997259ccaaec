"""`python -m bnn_exit.report`; the command itself is `bnn_exit.commands.report`."""

from bnn_exit.commands.report import main

if __name__ == "__main__":
    raise SystemExit(main())
