"""What a measured figure depends on: processor, platform, versions and the revision of the code."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("bnn_exit", "numpy", "larq-compute-engine", "tensorflow", "larq")
"""Packages whose versions are written beside a figure, if they are installed."""


def describe() -> dict[str, Any]:
    """The machine: processor and kind of core, architecture, bits of the userland, cores, platform; no host or user."""
    return {
        "cpu": cpu_model(),
        "cpu_core": cpu_core(),
        "architecture": platform.machine(),
        "userland_bits": 8 * struct.calcsize("P"),
        "cores": os.cpu_count() or 1,
        "platform": platform.platform(),
    }


def cpu_model(cpuinfo: str | os.PathLike[str] = "/proc/cpuinfo") -> str:
    """The processor's name; on a board without one, the board's ("Raspberry Pi 5 ..."); else the architecture."""
    found = _first_processor(cpuinfo)
    for name in ("model name", "Model", "Hardware"):
        if found.get(name):
            return found[name]
    return platform.processor() or platform.machine()


def cpu_core(cpuinfo: str | os.PathLike[str] = "/proc/cpuinfo") -> str | None:
    """The kind of core by its maker's numbers, since a virtual machine may hide its name; None if unknown.

    "AuthenticAMD family 26 model 2" is a Zen 5, "implementer 0x41 part 0xd0b" a Cortex-A76.
    """
    found = _first_processor(cpuinfo)
    with contextlib.suppress(KeyError):
        return f"{found['vendor_id']} family {found['cpu family']} model {found['model']}"
    with contextlib.suppress(KeyError):
        return f"implementer {found['CPU implementer']} part {found['CPU part']}"
    return None


def peak_memory_bytes() -> int | None:
    """The most memory that this process has had, or None where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        # VmHWM is of this process alone: ru_maxrss would begin with that of the one which started it.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def _first_processor(cpuinfo: str | os.PathLike[str]) -> dict[str, str]:
    """What the system reports about the first processor and the board."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path(cpuinfo).read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    return found


def clock(
    cpuinfo: str | os.PathLike[str] = "/proc/cpuinfo",
    cpufreq: str | os.PathLike[str] = "/sys/devices/system/cpu/cpu0/cpufreq",
) -> dict[str, Any]:
    """Speed of the first processor now: `mhz`, and the `governor` that controls it. None if unknown."""
    found: dict[str, Any] = {"mhz": None, "governor": None}
    with contextlib.suppress(OSError, ValueError):
        line = re.search(r"^cpu MHz\s*:\s*([\d.]+)", Path(cpuinfo).read_text(errors="replace"), re.MULTILINE)
        found["mhz"] = float(line[1]) if line else None
    with contextlib.suppress(OSError, ValueError):
        found["mhz"] = float(Path(cpufreq, "scaling_cur_freq").read_text()) / 1000
    with contextlib.suppress(OSError):
        found["governor"] = Path(cpufreq, "scaling_governor").read_text().strip() or None
    return found


def cache_bytes(folder: str | os.PathLike[str] = "/sys/devices/system/cpu/cpu0/cache") -> int | None:
    """Size of the last-level cache that the first processor uses; None if the system does not tell."""
    found = []
    for path in Path(folder).glob("index*/size"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = path.read_text().strip()
            found.append(int(text[:-1]) << {"K": 10, "M": 20}[text[-1]])
    return max(found, default=None)


def versions() -> dict[str, str]:
    """Version of Python and of every package of `PACKAGES` that is installed."""
    table = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            table[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return table


def version() -> str:
    """Version of this package; "unknown" if it is not installed."""
    try:
        return importlib.metadata.version("bnn_exit")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def provenance(more_versions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """When, with which code and where a figure is made: `date` (UTC), `git_revision`, `machine` and `versions`.

    Args:
        more_versions: versions of further parts, by name.
    """
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "git_revision": git_revision(),
        "machine": describe(),
        "versions": versions() | dict(more_versions or {}),
    }


def git_revision(file: Path = Path(__file__)) -> str | None:
    """Revision of the checkout that `file` belongs to, with "-dirty" if its code was changed since; None without one.

    Installed code has none, even below the checkout of another project. Results of benchmarks are no code: one that was
    just written does not make the next one look changed.
    """
    folder = file.parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", file.name)
        revision = _git(folder, "describe", "--always", "--abbrev=40")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", f":(top,exclude){_RESULTS}")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{revision}-dirty" if changed else revision


_RESULTS = "benchmarks/results"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
