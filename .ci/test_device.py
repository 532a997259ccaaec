"""The tests of the device half with one Python, NumPy and nothing else: python3.9 .ci/test_device.py [--numpy oldest]

Makes a virtual environment in build/, installs NumPy, what tests are made of and the package, and runs the choice of
tests/device_half.py.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "flatbuffers")
SCHEMA = "lib/python*/site-packages/tensorflow/lite/python/schema_py_generated.py"
CARRIER = "ai-edge-litert==1.4.0"
"""A small package that has the schema as well. It is not installed."""


def numpy(wanted: str) -> str:
    """What pip is to install: the newest, a version, or the oldest that the project takes and that has a wheel here."""
    if wanted != "oldest":
        return "numpy" if wanted == "newest" else f"numpy=={wanted}"
    oldest = {(3, 9): "1.24.0", (3, 10): "1.24.0", (3, 11): "1.24.0", (3, 12): "1.26.0", (3, 13): "2.1.0"}
    return f"numpy=={oldest.get(sys.version_info[:2], '2.3.2')}"


def fetched_schema(python: Path) -> Path:
    """TFLite's schema as Python, out of CARRIER, for a machine without TensorFlow."""
    path = ROOT / "build" / "schema_py_generated.py"
    if not path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            fetch = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            fetch += ["--only-binary=:all:", "--platform", "manylinux_2_17_x86_64", "--python-version", "3.11"]
            subprocess.run([*fetch, "--dest", folder, CARRIER], check=True)
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                path.write_bytes(wheel.read(f"ai_edge_litert/{path.name}"))
    return path


def main() -> int:
    """Runs the tests, and returns pytest's exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numpy", default="newest", help="oldest, newest or a version (default: newest)")
    parser.add_argument(
        "--schema", type=Path, help="TFLite's schema_py_generated.py (default: that of .venv, or a fetched one)"
    )
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders (default: tests)")
    options = parser.parse_args()
    name = "{}.{}".format(*sys.version_info[:2])
    folder = ROOT / "build" / f"device-{name}-{re.sub('[^a-z0-9.]', '', options.numpy)}"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--only-binary=numpy", numpy(options.numpy), *TOOLS], check=True)
    wanted = {**os.environ, "BNN_EXIT_REQUIRE_NATIVE": "1"}
    subprocess.run([*install, "--no-deps", ROOT], check=True, env=wanted)
    environment = {**os.environ, "PYTHONPATH": "tests"}
    schema = options.schema or next((ROOT / ".venv").glob(SCHEMA), None) or fetched_schema(python)
    environment["BNN_EXIT_TFLITE_SCHEMA"] = str(schema)
    versions = "import sys, numpy; print('Python', sys.version.split()[0], 'NumPy', numpy.__version__)"
    subprocess.run([python, "-c", versions], check=True)
    command = [python, "-m", "pytest", "-p", "device_half", "-p", "no:cacheprovider", *options.tests]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
