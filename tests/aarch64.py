"""64-bit Arm on this machine: the tools to build for it, an emulator, and Debian's Python with NumPy for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EMULATOR = "qemu-aarch64-static"
TOOLS = ("aarch64-linux-gnu-g++", "aarch64-linux-gnu-readelf", "cmake")
LIBRARIES = Path("/usr/aarch64-linux-gnu")  # where Debian's cross compiler keeps the C library
# A folder made by an earlier call of python_folder(), to spare the downloads.
FOLDER_VARIABLE = "BNN_EXIT_AARCH64_PYTHON"
PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6", "libgcc-s1"),
    *("libexpat1", "zlib1g", "libssl3", "libffi8", "libbz2-1.0", "liblzma5"),
)


def require(*tools):
    """Skips the test if a tool is missing."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def emulate(*command, libraries=LIBRARIES, environment=None):
    """Runs a program for 64-bit Arm, with shared libraries from a folder."""
    return subprocess.run(
        [EMULATOR, "-L", str(libraries), *(str(part) for part in command)],
        capture_output=True,
        text=True,
        cwd=libraries,  # not the folder of the sources, which Python would prefer to the wheel
        env={**os.environ, "PYTHONPATH": "", **(environment or {})},
    )


def download(*command, folder):
    """Runs a command that needs the network; the test is skipped if that cannot be had."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} takes too long; give {FOLDER_VARIABLE}")
    if done.returncode:
        pytest.skip(f"{command[0]} cannot download ({done.stderr.strip().splitlines()[-1:]}); give {FOLDER_VARIABLE}")


def python_folder(scratch):
    """A folder with Debian's arm64 Python 3.11 in `root`, and NumPy's wheel for it in `site`: 35 MB to download."""
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else scratch
    if (folder / "complete").exists():
        return folder
    require("apt-get", "dpkg")
    packages, lists = folder / "packages", folder / "lists"
    packages.mkdir(parents=True, exist_ok=True)
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    settings = ["APT::Architecture=arm64", "APT::Architectures=arm64", f"Dir::State::Lists={lists}"]
    settings += ["Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-qq", *(f"-o{setting}" for setting in settings)]
    download(*apt, "update", folder=packages)
    download(*apt, "download", *PACKAGES, folder=packages)
    wheel = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    wheel += [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
    download(sys.executable, "-m", "pip", "download", "-q", *wheel, "numpy>=2,<3", folder=packages)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    (numpy,) = packages.glob("numpy-*.whl")
    shutil.unpack_archive(numpy, folder / "site", "zip")
    (folder / "complete").touch()
    return folder
