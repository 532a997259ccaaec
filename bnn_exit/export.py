"""The command `python -m bnn_exit.export`, from `bnn_exit.commands`. The function is `bnn_exit.export`."""

if __name__ != "__main__":
    # Python would put this module in the place of the function of the same name.
    raise ImportError("bnn_exit.export is a function and a command, not a module: call bnn_exit.export(...)")

from bnn_exit.commands.export import main

raise SystemExit(main())
