import numpy as np
import pytest

from bnn_exit.errors import DataError
from bnn_exit.sensors.files import read

TWO = ("light", "heat")
VALUES = np.array([[1, 2], [3, 4.5]], np.float32)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_an_array_is_read_as_numpy_reads_it(tmp_path, order, dtype):
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(read(tmp_path / "a.npy", TWO), np.load(tmp_path / "a.npy"))


def test_columns_are_found_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("\ufefftime,heat,light\n0,2,1\n1,4.5,3\n\n")
    assert np.array_equal(read(tmp_path / "a.csv", TWO), VALUES)


def test_bytes_are_read_in_place_of_the_file():
    assert np.array_equal(read("a.csv", TWO, data=b"light,heat\n1,2\n3,4.5\n"), VALUES)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.wav", b"", "a.wav ends in '.wav', but values are in .npy or .csv files"),
        ("a", b"", "a ends in 'nothing'"),
        ("a.csv", b"", "it has no column 'light', but none"),
        ("a.csv", b"light,head\n", "it has no column 'heat', but light, head; did you mean 'head'?"),
        ("a.csv", b"light,heat\n", "values has 0 samples"),
        ("a.csv", b"light,heat\n1,2\n1,x\n", "heat is 'x' in row 3, which is no number"),
        ("a.csv", b"light,heat\n1\n", "heat is '' in row 2, which is no number"),
        ("a.csv", b"light,heat\n1,nan\n", "values has 1 NaN or infinite numbers, the first in sample 1 of heat"),
        ("a.csv", b"\xff\xfe", "it cannot be read as CSV"),
        ("a.npy", b"", "it is no array of NumPy that can be read"),
        ("a.npy", b"\x93NUMPY\x01\x00\x06\x00hello\n", "it is no array of NumPy that can be read"),
    ],
)
def test_files_that_cannot_be_used(name, data, message):
    with pytest.raises(DataError) as caught:
        read(name, TWO, data=data)
    assert message in str(caught.value)


def test_a_header_that_asks_for_more_than_the_file_holds(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": (10**12, 2), "fortran_order": False, "descr": "<f4"})
    with pytest.raises(DataError, match="it is no array of NumPy that can be read"):
        read(path, TWO)


def test_a_file_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="it holds objects"):
        read(tmp_path / "a.npy", TWO)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"cannot read values: no such file or folder: .*none\.npy"):
        read(tmp_path / "none.npy", TWO)
