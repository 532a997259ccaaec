import os

import pytest

from bnn_exit.errors import DataError
from bnn_exit.streams.distinct import check_distinct


def test_the_same_bytes_under_any_name_are_one_recording(tmp_path):
    paths = []
    for name, data in (("a", b"one" * 1000), ("b", b"two" * 1000), ("c", b"three"), ("d", b"one" * 1000)):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    a, b, c, d = paths
    os.symlink(b, tmp_path / "link")
    check_distinct([a, b, c])
    with pytest.raises(DataError, match=r"d is the same recording as .*a: give it once, or what is in it counts twice"):
        check_distinct([b, a, c, d])
    with pytest.raises(DataError, match=r"link is the same recording as .*b: give it once"):
        check_distinct([b, a, tmp_path / "link"])
    with pytest.raises(DataError, match="c is given twice: give it once"):
        check_distinct([str(c), str(c)])
