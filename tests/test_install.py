"""Installing from the sources where the native library cannot be built."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FAILS = "#!/bin/sh\nexit 1\n"
FAILS_HALF_WAY = '#!/bin/sh\ncase "$*" in */core/*) echo "out of memory" >&2; exit 1;; esac\nexec c++ "$@"\n'


def wheel(folder, compiler, **environment):
    path = folder / "compiler"
    path.write_text(compiler)
    path.chmod(0o755)
    command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--disable-pip-version-check"]
    command += ["--wheel-dir", str(folder), "--config-settings", f"build-dir={folder / 'build'}", str(ROOT)]
    environment = {**os.environ, "CXX": str(path), "CC": str(path), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    printed = done.stdout + done.stderr
    if "Could not find a version" in printed or "No matching distribution" in printed:
        pytest.skip("scikit-build-core cannot be downloaded")
    return done.returncode, printed, list(folder.glob("*.whl"))


@pytest.mark.parametrize("compiler", [FAILS, FAILS_HALF_WAY], ids=["none", "half way"])
def test_without_the_library_the_package_is_installed_all_the_same(tmp_path, compiler):
    status, printed, wheels = wheel(tmp_path, compiler)
    assert status == 0 and len(wheels) == 1, printed
    assert "reference backend" in printed
    assert wheels[0].name.endswith("-py3-none-any.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheels[0]) as archive:
        assert not [name for name in archive.namelist() if name.endswith((".so", ".cpp", ".h"))]
        archive.extractall(site)
    code = (
        "import bnn_exit, numpy, warnings\n"
        "warnings.simplefilter('always')\n"
        "session = bnn_exit.load('arabic-speech-commands-small')\n"
        "print(bnn_exit.__file__, session.backend, session.predict(numpy.zeros(16000, 'float32')).label)\n"
    )
    # As on a board: no LCE, which would be taken instead, and no other installation of the package (-S: no .pth file).
    path = os.pathsep.join([str(site), sysconfig.get_paths()["platlib"]])
    blocked = "import sys; sys.modules['larq_compute_engine'] = None\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", blocked + code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    place, backend, _ = done.stdout.split()
    assert place.startswith(str(site)) and backend == "reference"
    assert "reference" in done.stderr


def test_where_the_library_is_wanted_a_failure_is_one(tmp_path):
    status, printed, wheels = wheel(tmp_path, FAILS, BNN_EXIT_REQUIRE_NATIVE="1")
    assert status != 0 and wheels == [], printed
