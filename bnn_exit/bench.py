"""`python -m bnn_exit.bench`; the command itself is `bnn_exit.commands.bench`."""

from bnn_exit.commands.bench import main

if __name__ == "__main__":
    raise SystemExit(main())
