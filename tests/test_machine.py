import datetime
import getpass
import json
import platform
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bnn_exit import machine


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n", "Fast CPU @ 3 GHz"),
        ("processor\t: 0\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
         "Raspberry Pi 5 Model B Rev 1.0"),
        ("processor : 0\nHardware\t: BCM2711\n", "BCM2711"),
    ],
)  # fmt: skip
def test_the_name_of_the_processor_or_the_board(tmp_path, cpuinfo, name):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert machine.cpu_model(tmp_path / "cpuinfo") == name


def test_without_a_name_the_architecture_will_do(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name :\n")
    expected = platform.processor() or platform.machine()
    assert machine.cpu_model(tmp_path / "cpuinfo") == expected
    assert machine.cpu_model(tmp_path / "nothing") == expected


@pytest.mark.parametrize(
    ("cpuinfo", "core"),
    [
        ("vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n",
         "AuthenticAMD family 26 model 2"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5\n", "implementer 0x41 part 0xd0b"),
        ("processor : 0\nHardware\t: BCM2711\n", None),
    ],
)  # fmt: skip
def test_the_kind_of_core_is_told_by_its_numbers(tmp_path, cpuinfo, core):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert machine.cpu_core(tmp_path / "cpuinfo") == core
    assert machine.cpu_core(tmp_path / "nothing") is None


def test_the_size_of_the_last_cache(tmp_path):
    assert machine.cache_bytes(tmp_path) is None
    for index, size in enumerate(["32K", "1024K", "32768K", "unknown", ""]):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert machine.cache_bytes(tmp_path) == 32 << 20
    (tmp_path / "index1" / "size").write_text("96M\n")
    assert machine.cache_bytes(tmp_path) == 96 << 20


def test_describe_is_json_and_names_no_host():
    text = json.dumps(machine.describe())
    assert set(json.loads(text)) == {"cpu", "cpu_core", "architecture", "userland_bits", "cores", "platform"}
    if len(platform.node()) > 3:
        assert platform.node() not in text
    assert machine.describe()["cores"] >= 1
    assert machine.describe()["userland_bits"] == (64 if sys.maxsize > 2**32 else 32)
    if len(getpass.getuser()) > 4:
        assert getpass.getuser() not in text


def test_versions_has_what_is_installed_and_leaves_out_what_is_not(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("numpy", "a-package-that-nobody-has"))
    assert machine.versions() == {"python": platform.python_version(), "numpy": np.__version__}


def test_the_clock_is_read_where_the_system_tells_it(tmp_path):
    cpuinfo, cpufreq = tmp_path / "cpuinfo", tmp_path / "cpufreq"
    assert machine.clock(cpuinfo, cpufreq) == {"mhz": None, "governor": None}
    cpuinfo.write_text("processor\t: 0\ncpu MHz\t\t: 3693.072\nprocessor\t: 1\ncpu MHz\t\t: 100.0\n")
    assert machine.clock(cpuinfo, cpufreq) == {"mhz": 3693.072, "governor": None}
    cpufreq.mkdir()
    (cpufreq / "scaling_cur_freq").write_text("1800000\n")
    (cpufreq / "scaling_governor").write_text("ondemand\n")
    assert machine.clock(cpuinfo, cpufreq) == {"mhz": 1800.0, "governor": "ondemand"}


def git(folder, *arguments):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_results_do_not_make_the_code_look_changed(tmp_path):
    code, result = tmp_path / "package" / "code.py", tmp_path / "benchmarks" / "results" / "speed.json"
    for path in (code, result):
        path.parent.mkdir(parents=True)
        path.write_text("1")
    assert machine.git_revision(code) is None
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "First")
    clean = machine.git_revision(code)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    result.write_text("2")
    (tmp_path / "benchmarks" / "more.py").write_text("untracked")
    assert machine.git_revision(code) == clean
    code.write_text("2")
    assert machine.git_revision(code) == f"{clean}-dirty"


def test_code_installed_below_another_project_has_not_its_revision(tmp_path):
    installed = tmp_path / ".venv" / "package" / "code.py"
    installed.parent.mkdir(parents=True)
    for path in (installed, tmp_path / "project.py"):
        path.write_text("1")
    (tmp_path / ".gitignore").write_text(".venv\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "First")
    assert machine.git_revision(tmp_path / "project.py") is not None
    assert machine.git_revision(installed) is None


def test_provenance_has_all_that_a_figure_depends_on(monkeypatch):
    monkeypatch.setattr(machine, "git_revision", lambda: "abc")
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    found = machine.provenance({"chromium": "120"})
    after = datetime.datetime.now(datetime.timezone.utc)
    assert before <= datetime.datetime.fromisoformat(found.pop("date")) <= after
    versions = {**machine.versions(), "chromium": "120"}
    assert found == {"git_revision": "abc", "machine": machine.describe(), "versions": versions}
