"""Headers as recorders leave them: read as libsndfile reads them, and a file that is really cut is still found."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.audio import riff
from bnn_exit.errors import DataError

RATE = 16000
VALUES = np.random.default_rng(5).integers(-20000, 20000, 300).astype("<i2")
BODY = VALUES.tobytes()


def wav_file(
    body: bytes = BODY,
    *,
    code: int = 1,
    channels: int = 1,
    bits: int = 16,
    rate: int = RATE,
    block: int | None = None,
    byte_rate: int | None = None,
    extra: bytes = b"",
    before: bytes = b"",
    after: bytes = b"",
    size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """A wav file of which any field can be wrong; None is the right value."""
    frame = channels * ((bits + 7) // 8)
    fmt = struct.pack(
        "<HHIIHH",
        code,
        channels,
        rate,
        rate * frame if byte_rate is None else byte_rate,
        frame if block is None else block,
        bits,
    )
    chunks = before + chunk(b"fmt ", fmt + extra) + chunk(b"data", body, size=size) + after
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) if riff_size is None else riff_size, b"WAVE") + chunks


def chunk(name: bytes, body: bytes, *, size: int | None = None, padding: bytes = b"\0") -> bytes:
    return struct.pack("<4sI", name, len(body) if size is None else size) + body + padding * (len(body) % 2)


def extensible(code: int, valid_bits: int) -> bytes:
    return struct.pack("<HHIH", 22, valid_bits, 4, code) + riff._GUID_TAIL


def samples(data: bytes) -> np.ndarray:
    frames, rate = riff.decode(data)
    assert rate == RATE
    return frames


# ---- against libsndfile


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A file with a header that is right, or wrong in ways that leave no doubt about the samples."""
    code, bits = draw(st.sampled_from([(1, 8), (1, 12), (1, 16), (1, 20), (1, 24), (1, 32), (3, 32), (3, 64)]))
    channels = draw(st.integers(1, 3))
    width = (bits + 7) // 8
    values = np.random.default_rng(draw(st.integers(0, 99))).uniform(-0.9, 0.9, draw(st.integers(1, 40)) * channels)
    if code == 3:
        body = values.astype(f"<f{width}").tobytes()
    else:
        body = (values * 2**31).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()
    body += bytes(draw(st.integers(0, channels * width - 1)))  # a frame that was cut
    is_extensible = draw(st.booleans())
    junk = st.sampled_from([b"LIST", b"bext", b"JUNK", b"PAD "])
    before = b"".join(chunk(draw(junk), bytes(draw(st.integers(8, 700)))) for _ in range(draw(st.integers(0, 3))))
    too_large = draw(st.sampled_from([0, 0, 8, 36, 44, 0x7FFFF000, 0xFFFFFFFF - len(body)]))
    return wav_file(
        body,
        code=0xFFFE if is_extensible else code,
        channels=channels,
        bits=bits,
        block=draw(st.sampled_from([None, 0, 1, 5])),
        byte_rate=draw(st.sampled_from([None, 0, 7])),
        extra=extensible(code, bits) if is_extensible else draw(st.sampled_from([b"", b"\0\0"])),
        before=before,
        after=b"" if too_large else chunk(b"LIST", b"INFOabc"),
        size=len(body) + too_large,
        riff_size=draw(st.sampled_from([None, 0, 0xFFFFFFFF])),
    )


@settings(max_examples=150, deadline=None)
@given(headers())
def test_headers_are_read_as_libsndfile_reads_them(data: bytes) -> None:
    soundfile = pytest.importorskip("soundfile")
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        expected = file.read(always_2d=True)
    frames = samples(data)
    assert frames.shape == expected.shape
    np.testing.assert_allclose(frames, expected, rtol=0, atol=2e-7)


# ---- sizes that were never filled in, or count the header


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("riff_size", [0, 8, 36, 0xFFFFFFFF])
def test_a_size_that_was_never_filled_in_means_to_the_end(size: int, riff_size: int) -> None:
    data = wav_file(size=size, riff_size=riff_size)
    np.testing.assert_array_equal(samples(data)[:, 0] * 32768, VALUES)


@pytest.mark.parametrize("before", [b"", chunk(b"LIST", bytes(100)), chunk(b"bext", bytes(602))])
def test_a_size_that_counts_the_header_too_means_to_the_end(before: bytes) -> None:
    header = len(wav_file(b"", before=before))
    for excess in (1, 8, 36, header - 8, header):
        data = wav_file(before=before, size=len(BODY) + excess)
        np.testing.assert_array_equal(samples(data)[:, 0] * 32768, VALUES)
    with pytest.raises(DataError, match=f"declares {len(BODY) + header + 2} bytes of data, but {len(BODY)} follow"):
        samples(wav_file(before=before, size=len(BODY) + header + 2))


def test_a_file_that_is_cut_is_found_also_if_its_sizes_agree() -> None:
    whole = wav_file(size=len(BODY), riff_size=len(BODY))
    with pytest.raises(DataError, match=f"truncated wav file: its header declares {len(BODY)} bytes of data"):
        samples(whole[: len(whole) // 2])


@pytest.mark.parametrize("after", [b"", chunk(b"LIST", b"INFO"), chunk(b"LIST", b"abc") + chunk(b"id3 ", bytes(40))])
def test_no_samples_are_no_samples_though_other_chunks_follow(after: bytes) -> None:
    with pytest.raises(DataError, match="the wav file holds no samples"):
        samples(wav_file(b"", after=after))


# ---- 24 bits in four bytes

WIDE = np.array([0, 1, -1, 8388607, -8388608, 123456, -654321, 256, -256], "<i4")


def in_four_bytes(values: np.ndarray, bits: int = 24, **changes: int) -> bytes:
    return wav_file(values.tobytes(), bits=bits, **{"block": 4, "byte_rate": 4 * RATE, **changes})


@pytest.mark.parametrize("bits", [20, 24])
def test_the_low_bytes_as_alsa_writes_them(bits: int) -> None:
    values = WIDE >> (24 - bits)
    expected = values / np.float32(2 ** (bits - 1))
    np.testing.assert_array_equal(samples(in_four_bytes(values, bits))[:, 0], expected)
    # Sixteen bits that ALSA converted: the low byte is 0 here too.
    loud = np.array([0x1200, -0x340000, 0x7FFF00], "<i4") >> (24 - bits)
    np.testing.assert_array_equal(samples(in_four_bytes(loud, bits))[:, 0], loud / np.float32(2 ** (bits - 1)))
    if bits == 24:  # the fourth byte is nobody's
        garbage = (values & 0xFFFFFF) | np.int32(0x55000000)
        np.testing.assert_array_equal(samples(in_four_bytes(garbage))[:, 0], expected)


def test_the_high_bytes_as_the_format_asks() -> None:
    np.testing.assert_array_equal(samples(in_four_bytes(WIDE << 8))[:, 0], WIDE / np.float32(2**23))


def test_three_bytes_with_a_wrong_size_of_frames_are_three_bytes() -> None:
    packed = WIDE.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    for block in (0, 2, 4):
        data = wav_file(packed, bits=24, block=block, byte_rate=3 * RATE)
        np.testing.assert_array_equal(samples(data)[:, 0], WIDE / np.float32(2**23))


def test_the_bytes_that_hold_the_value_are_told_by_all_of_a_long_file() -> None:
    quiet = np.zeros(3 * riff.BLOCK_VALUES // 2, "<i4")
    quiet[-1] = 1 << 30  # only here does the fourth byte hold more than the sign
    np.testing.assert_array_equal(samples(in_four_bytes(quiet))[-1, 0], 0.5)


# ---- chunks


@pytest.mark.parametrize("size", [1, 3, 101])
@pytest.mark.parametrize("padding", [b"\0", b"x", b""])
def test_a_chunk_of_odd_size_with_its_padding_and_without(size: int, padding: bytes) -> None:
    before = chunk(b"LIST", b"a" * size, padding=padding)
    np.testing.assert_array_equal(samples(wav_file(before=before))[:, 0] * 32768, VALUES)


@pytest.mark.parametrize("padding", [b"\0", b""])
def test_a_chunk_of_any_name_behind_one_of_odd_size(padding: bytes) -> None:
    before = chunk(b"JUNK", b"abc", padding=padding) + chunk(b"cue ", bytes(28)) + chunk(b"bext", b"z" * 602)
    np.testing.assert_array_equal(samples(wav_file(before=before))[:, 0] * 32768, VALUES)


def test_so_many_chunks_that_reading_them_would_take_long_are_no_wav_file() -> None:
    with pytest.raises(DataError, match="it has no fmt chunk"):
        riff.decode(wav_file(before=8192 * chunk(b"JUNK", b"")))


# ---- rates


@pytest.mark.parametrize("rate", [0, 1, 10, 999, 768001, 10**8, 2**32 - 1])
def test_a_rate_that_no_audio_has_is_refused(rate: int) -> None:
    with pytest.raises(DataError, match=f"its sample rate is {rate} Hz, but must be from 1000 to 768000"):
        riff.decode(wav_file(rate=rate, byte_rate=0))
    assert riff.decode(wav_file(rate=1000))[1] == 1000
    assert riff.decode(wav_file(rate=768000))[1] == 768000
