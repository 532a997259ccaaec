"""`python -m bnn_exit.evaluate`; the command itself is `bnn_exit.commands.evaluate`."""

from bnn_exit.commands.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
