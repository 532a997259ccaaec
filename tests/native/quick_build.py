"""Compiling quickly, where a test is not about how fast the result runs."""


def optimize(level: str) -> str:
    """A setting of CMake: every source is compiled at this level, whatever else its flags ask for."""
    return (
        "-DCMAKE_CXX_COMPILE_OBJECT="
        f"<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -O{level} -o <OBJECT> -c <SOURCE>"
    )
