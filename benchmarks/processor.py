"""What this processor could do at most: its clock, and the multiply-accumulates a cycle that its ports allow."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import tempfile
from pathlib import Path

from bnn_exit import machine
from bnn_exit.cost import Cost

KERNELS = Path(__file__).parent.parent / "bnn_exit" / "runtime" / "native" / "kernels"


@dataclasses.dataclass(frozen=True)
class Bound:
    """Multiply-accumulates a cycle at most, with kernels of one instruction set.

    Attributes:
        binary: on values of one bit.
        floats: on floats.
        why: the reason for `binary`, by the operations that a word takes.
    """

    binary: int
    floats: int
    why: str

    def microseconds(self, cost: Cost, *, clock_ghz: float) -> float:
        """The least time of the multiply-accumulates of a network, with nothing between them."""
        return (cost.binary_macs / self.binary + cost.float_macs / self.floats) / clock_ghz / 1e3


BOUNDS = {
    # Zen 3 and 4: four 256-bit operations a cycle, of which two may be shuffles or population counts, and two may be
    # multiply-additions of floats. A 512-bit operation takes the place of two.
    "AuthenticAMD family 25": {
        "avx512_vpopcnt": Bound(
            410, 16, "2.5 operations of 512 bits for 512 MACs, two a cycle; 341 with 3, in short layers"
        ),
        "avx512": Bound(256, 16, "one shuffle of 512 bits for 256 MACs, one a cycle"),
        "avx2": Bound(256, 16, "one shuffle of 256 bits for 128 MACs, two a cycle"),
        "scalar": Bound(85, 8, "3 operations for 64 MACs, four a cycle"),
    },
    # Zen 5 in servers: the same with 512 bits in each place.
    "AuthenticAMD family 26": {
        "avx512_vpopcnt": Bound(683, 32, "3 operations of 512 bits for 512 MACs, four a cycle"),
        "avx2": Bound(256, 16, "one shuffle of 256 bits for 128 MACs, two a cycle"),
    },
}
"""Vendor and family of a processor, as `machine.cpu_core` has them -> instruction set -> its bound."""


def bounds() -> dict[str, Bound]:
    """Instruction set -> its bound on this processor; empty for one that is not in BOUNDS."""
    core = machine.cpu_core() or ""
    return next((found for family, found in BOUNDS.items() if core.startswith(f"{family} ")), {})


def timing_library() -> ctypes.CDLL:
    """The kernels and the entries for timing them, as a library; its `bench_clock` measures the clock in GHz."""
    folder = tempfile.mkdtemp()
    subprocess.run(["cmake", "-S", str(KERNELS / "check"), "-B", folder], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--target", "kernel_bench"], check=True, stdout=subprocess.DEVNULL)
    library = ctypes.CDLL(str(Path(folder, "libkernel_bench.so")))
    library.bench_isa.restype = ctypes.c_char_p
    library.bench_clock.restype = ctypes.c_double
    library.bench_open_binary.restype = library.bench_open_float.restype = ctypes.c_void_p
    library.bench_run.argtypes, library.bench_run.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_double
    library.bench_close.argtypes, library.bench_close.restype = [ctypes.c_void_p], None
    return library
