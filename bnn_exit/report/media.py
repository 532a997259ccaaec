"""Sounds and pictures as data URIs, which a page holds in itself."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.audio import riff
from bnn_exit.pairs import zip_strict

MAX_FRAMES = 500
"""Columns of the widest picture: more are indistinguishable on a page."""

# Dark blue over green to yellow; lightness rises evenly, so it reads in grey and with any colour blindness.
_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def sound(waveform: npt.NDArray[np.float32], *, sample_rate_hz: int) -> str:
    """A waveform [samples] in [-1, 1] as a data URI of a 16-bit WAV file."""
    return _uri("audio/wav", riff.encode(waveform, sample_rate_hz=sample_rate_hz))


def picture(log_mel: npt.ArrayLike) -> str:
    """A log-mel [frames, mels] as a data URI of a PNG: time to the right, frequency upwards, bright is loud.

    The darkest colour is the quietest value of this clip, the brightest its loudest. Of many frames, neighbours are
    averaged.
    """
    values = _narrowed(np.asarray(log_mel, np.float64)).T[::-1]
    low, high = values.min(), values.max()
    levels = (255 * (values - low) / (high - low if high > low else 1.0)).round().astype(np.uint8)
    return _uri("image/png", _png(levels))


def plot(values: npt.ArrayLike, channels: Sequence[str]) -> str:
    """Values [samples, channels] as a data URI of an SVG: a curve for each channel, one below the other.

    Time goes to the right. Each curve fills its own row from the channel's lowest value to its highest in this window.
    Of many samples, neighbours are averaged.
    """
    curves = _narrowed(np.asarray(values, np.float64))
    width, row = 240, max(16, 120 // len(channels))
    place = np.linspace(0, width, len(curves))
    parts = []
    for number, name in enumerate(channels):
        curve = curves[:, number]
        low, high = curve.min(), curve.max()
        height = (1 - (curve - low) / (high - low)) if high > low else np.full(len(curve), 0.5)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip_strict(place, number * row + 2 + height * (row - 4)))
        parts.append(f'<polyline points="{points}"><title>{html.escape(name)}</title></polyline>')
    size = f'viewBox="0 0 {width} {row * len(channels)}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill="none" stroke="#21918c">{"".join(parts)}</svg>'
    return _uri("image/svg+xml", svg.encode())


def _narrowed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if len(values) <= MAX_FRAMES:
        return values
    edges = np.linspace(0, len(values), MAX_FRAMES + 1).astype(np.int64)
    return np.add.reduceat(values, edges[:-1]) / np.diff(edges)[:, None]


def _png(levels: npt.NDArray[np.uint8]) -> bytes:
    """A picture [height, width] of palette entries as a PNG file."""
    height, width = levels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = levels
    places = np.linspace(0, len(_COLOURS) - 1, 256)
    palette = np.stack([np.interp(places, range(len(_COLOURS)), channel) for channel in zip_strict(*_COLOURS)], 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", palette.round().astype(np.uint8).tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
