"""The compilers of this machine, for tests that build programs around the native library."""

import shutil
from pathlib import Path

import pytest

from bnn_exit.runtime import native_backend

C_COMPILER = shutil.which("cc") or shutil.which("gcc")
CXX_COMPILER = shutil.which("g++") or shutil.which("clang++")
NATIVE = Path(native_backend.__file__).parent / "native"

needs_library = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")
needs_c = pytest.mark.skipif(C_COMPILER is None, reason="there is no C compiler")
needs_cxx = pytest.mark.skipif(CXX_COMPILER is None, reason="there is no C++ compiler")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def optimize(level: str) -> str:
    """A setting of CMake: every source is compiled at this level, whatever else its flags ask for.

    To compile quickly, where a test is not about how fast the result runs.
    """
    return (
        "-DCMAKE_CXX_COMPILE_OBJECT="
        f"<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -O{level} -o <OBJECT> -c <SOURCE>"
    )
