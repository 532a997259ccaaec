"""`python -m bnn_exit.predict`; the command itself is `bnn_exit.commands.predict`."""

from bnn_exit.commands.predict import main

if __name__ == "__main__":
    raise SystemExit(main())
