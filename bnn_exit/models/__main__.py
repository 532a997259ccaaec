"""`python -m bnn_exit.models`; the command itself is `bnn_exit.commands.models`."""

from bnn_exit.commands.models import main

if __name__ == "__main__":
    raise SystemExit(main())
