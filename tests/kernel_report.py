"""Reading what the program that checks the kernels reports."""

import re
from pathlib import Path

import bnn_exit

KERNELS = Path(bnn_exit.__file__).parent / "runtime" / "native" / "kernels"


def listed(macro):
    """The names in THE list."""
    return re.findall(rf"^BNN_EXIT_{macro}\((?:[^,]*, )?(\w+)", (KERNELS / "kernels.inc").read_text(), re.MULTILINE)


def check_report(output, *, isas, cases):
    """Every listed kernel is reported for each of these instruction sets, with enough cases and none that differs."""
    agreeing = {}
    for isa, kernel, agree, differ in re.findall(r"^(\w+) (\w+) agree (\d+) differ (\d+)$", output, re.MULTILINE):
        assert differ == "0", output
        agreeing[isa, kernel] = int(agree)
    checked = [name for name in listed("KERNEL") if not name.endswith(("_bytes", "_pack", "_frames"))]
    assert set(agreeing) == {(isa, kernel) for isa in isas for kernel in checked}
    assert min(agreeing.values()) >= cases
