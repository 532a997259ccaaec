import contextlib
import io
import os
import threading

import numpy as np
import pytest

from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.listening.pipe import Pipe

VALUES = np.arange(-500, 500, dtype="<i2") * 64


def piped(pieces, *, told=None, **settings):
    """The chunks that a pipe gives whose writer writes these pieces one by one."""
    reader, writer = os.pipe()

    def write():
        # The reader may have seen enough before all is written.
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with os.fdopen(reader, "rb") as file:
            tell = (told if told is not None else []).append
            return list(Pipe(file, rate_hz=16000, tell=tell, **settings).chunks())
    finally:
        thread.join()


def whole(chunks):
    return np.concatenate([np.zeros(0), *(chunk.samples for chunk in chunks)])


def test_a_pipe_that_another_program_left_non_blocking_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb") as file:
        chunks = Pipe(file, rate_hz=16000, tell=[].append).chunks()
        threading.Timer(0.05, lambda: (os.write(writer, VALUES.tobytes()), os.close(writer))).start()
        np.testing.assert_array_equal(whole(chunks), VALUES / np.float32(32768))


@pytest.mark.parametrize("size", [1, 3, 4, 7, 999, 10000])
def test_the_samples_do_not_depend_on_how_they_come(size):
    data = VALUES.tobytes()
    told = []
    chunks = piped([data[start : start + size] for start in range(0, len(data), size)], told=told)
    assert np.array_equal(whole(chunks), VALUES / np.float32(32768))
    assert told == [] and not any(chunk.gap for chunk in chunks)


def test_an_odd_byte_at_the_end_is_told():
    told = []
    chunks = piped([VALUES.tobytes() + b"\x01"], told=told)
    assert len(whole(chunks)) == len(VALUES)
    assert told == ["standard input ended within a sample: 1 of its 2 bytes were left; check --width and --channels"]


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00"])
def test_hardly_anything(data):
    told = []
    assert len(whole(piped([data], told=told))) == len(data) // 2
    assert len(told) == len(data) % 2


def test_other_formats():
    stereo = np.array([[2**30, 0], [-(2**30), 0]], "<i4").tobytes()
    assert whole(piped([stereo], bits=32, channels=2)).tolist() == [0.25, -0.25]
    assert whole(piped([bytes([128, 192])], bits=8)).tolist() == [0, 0.5]


@pytest.mark.parametrize(("head", "kind"), [(b"RIFF", "a WAV"), (b"fLaC", "a FLAC"), (b"OggS", "an Ogg")])
def test_an_audio_file_is_not_taken_for_samples(head, kind):
    with pytest.raises(DataError, match=f"standard input is {kind} file, not raw samples: record with arecord -t raw"):
        piped([head[:1], head[1:], bytes(100)])


def test_a_terminal_and_an_unknown_width_are_refused():
    class Terminal(io.BytesIO):
        def isatty(self):
            return True

    with pytest.raises(ArgumentError, match="standard input is a terminal: pipe raw samples into it"):
        Pipe(Terminal(), rate_hz=16000, tell=print)
    with pytest.raises(ArgumentError, match="width is 24, but must be 8, 16 or 32 bits"):
        Pipe(io.BytesIO(), rate_hz=16000, tell=print, bits=24)
