"""The command `python -m bnn_exit.calibrate`, from `bnn_exit.commands`. The function is `bnn_exit.calibrate`."""

if __name__ != "__main__":
    # Python would put this module in the place of the function of the same name.
    raise ImportError("bnn_exit.calibrate is a function and a command, not a module: call bnn_exit.calibrate(...)")

from bnn_exit.commands.calibrate import main

raise SystemExit(main())
