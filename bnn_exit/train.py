"""`python -m bnn_exit.train`; the command itself is `bnn_exit.commands.train`."""

from bnn_exit.commands.train import main

if __name__ == "__main__":
    raise SystemExit(main())
