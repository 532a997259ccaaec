"""The contract of bnn_exit.h for programs in other locales, with threads, and across forks."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from native.compilers import C_COMPILER, NATIVE, needs_c, needs_library

from bnn_exit.runtime import native_backend

pytestmark = [needs_library, needs_c]


@pytest.fixture(scope="module")
def check(tiny, tmp_path_factory):
    """Run `interface_check` in a mode; it must find everything as the header says."""
    folder = tmp_path_factory.mktemp("interface")
    program, model = folder / "interface_check", folder / "model.tflite"
    model.write_bytes(tiny.adaptive_file())
    library = native_backend.find_library()
    command = [C_COMPILER, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pthread", "-I", NATIVE / "include"]
    command += [Path(__file__).with_name("interface_check.c"), library, f"-Wl,-rpath,{library.parent}", "-o", program]
    subprocess.run(command, check=True)

    def run(mode, *arguments, **environment):
        command = [program, mode, model, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_a_locale_with_a_decimal_comma(check, tmp_path):
    localedef = shutil.which("localedef")
    if localedef is None or not Path("/usr/share/i18n/locales/de_DE").is_file():
        pytest.skip("this system has no sources of locales (apt-get install locales)")
    subprocess.run([localedef, "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], check=True)
    check("locale", "de_DE.UTF-8", LOCPATH=str(tmp_path))


@pytest.mark.parametrize("front_end", [0, 1])
def test_several_threads_at_one_object(check, front_end):
    check("threads", str(front_end))


def test_several_threads_with_a_stream_each_at_one_classifier(check):
    check("streams")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_child_runs_and_frees_what_its_parent_was_just_running(check, threads):
    check("fork", str(threads))
