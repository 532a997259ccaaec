"""The command `python -m bnn_exit.adapt`, from `bnn_exit.commands`. The function is `bnn_exit.adapt`."""

if __name__ != "__main__":
    # Python would put this module in the place of the function of the same name.
    raise ImportError("bnn_exit.adapt is a function and a command, not a module: call bnn_exit.adapt(...)")

from bnn_exit.commands.adapt import main

raise SystemExit(main())
