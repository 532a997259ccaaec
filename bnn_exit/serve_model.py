"""`python -m bnn_exit.serve_model`; the command itself is `bnn_exit.commands.serve_model`."""

from bnn_exit.commands.serve_model import main

if __name__ == "__main__":
    raise SystemExit(main())
