import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.audio.pcm import PcmDecoder
from bnn_exit.errors import ArgumentError


@pytest.mark.parametrize(
    ("width", "data", "expected"),
    [
        (1, bytes([0, 128, 192, 255]), [-1, 0, 0.5, 127 / 128]),
        (2, np.array([-32768, 0, 16384, 32767], "<i2").tobytes(), [-1, 0, 0.5, 32767 / 32768]),
        (4, np.array([-(2**31), 0, 2**30], "<i4").tobytes(), [-1, 0, 0.5]),
    ],
)
def test_full_scale_is_one(width, data, expected):
    samples = PcmDecoder(width=width).push(data)
    assert samples.dtype == np.float32 and samples.tolist() == expected


def test_two_bytes_are_what_the_rest_of_the_package_makes_of_int16():
    from bnn_exit.audio.waveform import check

    values = np.arange(-32768, 32768).astype("<i2")
    assert np.array_equal(PcmDecoder().push(values.tobytes()), check(values))


def test_channels_are_averaged():
    assert PcmDecoder(channels=2).push(np.array([8192, 16384, -8192, 8192], "<i2").tobytes()).tolist() == [0.375, 0]


@given(
    width=st.sampled_from([1, 2, 4]),
    channels=st.integers(1, 4),
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_pieces_of_any_size_give_the_samples_of_the_whole(width, channels, data, cuts):
    whole, pieces = PcmDecoder(width=width, channels=channels), PcmDecoder(width=width, channels=channels)
    expected = whole.push(data)
    places = [0, *sorted(cuts), len(data)]
    found = [pieces.push(data[start:stop]) for start, stop in zip(places, places[1:])]
    assert np.array_equal(np.concatenate(found), expected)
    assert pieces.left == whole.left == len(data) % (width * channels)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"width": 3}, "width is 3 bytes, but must be one of 1, 2, 4"),
        ({"channels": 0}, "channels is 0, but must be a whole number from 1 to 32"),
        ({"channels": True}, "channels is True, but must be a whole number from 1 to 32"),
        ({"channels": 33}, "channels is 33, but must be"),
    ],
)
def test_other_formats_are_refused(settings, text):
    with pytest.raises(ArgumentError, match=text):
        PcmDecoder(**settings)
