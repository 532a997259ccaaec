"""Builds the wheel of a platform into dist/: python .ci/build_wheel.py [--machine aarch64].

The library is linked against the first versions of glibc's functions (bnn_exit/runtime/native/cmake/old_glibc.cpp).
Which glibc it needs in the end is read from the finished library, and becomes the platform tag of the wheel.
"""

import argparse
import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import zopfli

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "bnn_exit" / "runtime" / "native"
MACHINES = ("aarch64", "x86_64")
# No manylinux tag names an older glibc on these machines.
OLDEST = {"aarch64": (2, 17), "x86_64": (2, 5)}
# Bytes from which a file has parts so different that a search for the best cuts makes it smaller. The search takes most
# of Zopfli's time, and the shorter files, nearly all, stay the same to a few bytes without it.
SPLIT_FROM = 16384


def prefix(machine: str) -> str:
    """What the names of the tools for this machine begin with."""
    return "" if machine == platform.machine() else f"{machine}-linux-gnu-"


def glibc_needed(library: Path, machine: str) -> tuple[int, int]:
    """The glibc that has every versioned symbol the library asks for, and no less than a tag can name."""
    command = [prefix(machine) + "readelf", "--version-info", "--wide", str(library)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needs = text[text.index("Version needs section") :]
    versions = [(int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", needs)]
    foreign = set(re.findall(r"File: (\S+)", needs)) - {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    if foreign - {"ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2"} or not versions:
        raise SystemExit(f"error: {library.name} needs {sorted(foreign)}, which a board may not have")
    return max([*versions, OLDEST[machine]])


def tagged(wheel: Path, tag: str, folder: Path) -> Path:
    """Copies a wheel into `folder` under another tag, in its name and in what it says of itself.

    Zopfli takes longer to compress and makes files a fortieth smaller; everything reads them as before.
    """
    name, version = wheel.name.split("-")[:2]
    target = folder / f"{name}-{version}-{tag}.whl"
    beside = target.with_suffix(".part")
    with zipfile.ZipFile(wheel) as old, zopfli.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as new:
        contents = {info.filename: old.read(info) for info in old.infolist()}
        modes = {info.filename: info.external_attr for info in old.infolist()}
        info_folder = f"{name}-{version}.dist-info/"
        about, record = info_folder + "WHEEL", info_folder + "RECORD"
        contents[about] = re.sub(rb"(?m)^Tag: .*$", f"Tag: {tag}".encode(), contents[about])
        digest = base64.urlsafe_b64encode(hashlib.sha256(contents[about]).digest()).rstrip(b"=").decode()
        line = f"{about},sha256={digest},{len(contents[about])}"
        contents[record] = re.sub(rf"(?m)^{re.escape(about)},.*$", line, contents[record].decode()).encode()
        for path, data in contents.items():
            entry = zopfli.ZipInfo(path, date_time=(2020, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = modes[path], zipfile.ZIP_DEFLATED
            new.writestr(entry, data, iterations=5, block_splitting=len(data) >= SPLIT_FROM)
    os.replace(beside, target)
    return target


def build(machine: str, folder: Path, build_folder: Path, defines: list[str]) -> Path:
    """Compiles in `build_folder`, and returns the wheel in `folder`."""
    compiler = prefix(machine) + "g++"
    if shutil.which(compiler) is None:
        raise SystemExit(f"error: {compiler} is not installed: on Debian, apt-get install g++-{machine}-linux-gnu")
    # Nobody needs portable kernels on a processor that always has vectors.
    defines = [*defines, "BNN_EXIT_OLD_GLIBC=ON", *(["BNN_EXIT_WITH_PORTABLE=OFF"] if machine == "aarch64" else [])]
    if prefix(machine):
        defines.append(f"CMAKE_TOOLCHAIN_FILE={NATIVE / 'cmake' / f'{machine}.cmake'}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--wheel-dir", scratch, "--config-settings", f"build-dir={build_folder.resolve()}"]
        command += ["--config-settings", f"wheel.tags=py3-none-linux_{machine}"]
        for define in defines:
            command += ["--config-settings", f"cmake.define.{define}"]
        environment = {**os.environ, "CFLAGS": "", "CXXFLAGS": "", "BNN_EXIT_REQUIRE_NATIVE": "1"}
        subprocess.run([*command, str(ROOT)], check=True, env=environment)
        (made,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(made) as archive:
            library = Path(archive.extract("bnn_exit/runtime/native/libbnn_exit_native.so", scratch))
        major, minor = glibc_needed(library, machine)
        return tagged(made, f"py3-none-manylinux_{major}_{minor}_{machine}", folder)


def main() -> None:
    """Builds, and prints the path and size of the wheel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=MACHINES, default=platform.machine(), help="default: this machine")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the wheel (default: dist)")
    parser.add_argument("--build-folder", type=Path, help="keep what is compiled here (default: build/MACHINE)")
    parser.add_argument("--define", action="append", default=[], metavar="NAME=VALUE", help="a setting of CMake")
    options = parser.parse_args()
    build_folder = options.build_folder or ROOT / "build" / options.machine
    wheel = build(options.machine, options.out, build_folder, options.define)
    print(f"{wheel} ({wheel.stat().st_size / 1024:.0f} KB)")


if __name__ == "__main__":
    main()
