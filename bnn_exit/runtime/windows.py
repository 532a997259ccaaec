"""Windows of a stream: which samples are kept, and the network's input at every hop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bnn_exit.runtime.backends import front_end
from bnn_exit.settings.features import FeatureConfig

Floats = npt.NDArray[np.float32]


class SampleBuffer:
    """The newest samples of a stream, in memory that does not grow.

    Args:
        capacity: samples at most.
        channels: values of each sample; None: of a waveform, one number each.

    Attributes:
        end: how many samples were appended since the last reset.
    """

    def __init__(self, capacity: int, *, channels: int | None = None) -> None:
        self._values = np.zeros(capacity if channels is None else (capacity, channels), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget every sample."""
        self._start = self.end = 0

    def append(self, samples: Floats) -> None:
        """Take more samples; they fit beside those kept."""
        kept = self.end - self._start
        self._values[kept : kept + len(samples)] = samples
        self.end += len(samples)

    def view(self, start: int, stop: int) -> Floats:
        """Samples start to stop - 1, counted from the last reset, until the next `append` or `drop`."""
        return self._values[start - self._start : stop - self._start]

    def drop(self, before: int) -> None:
        """Forget the samples before this one, as far as they have come."""
        first = min(before, self.end)
        kept = self.end - first
        self._values[:kept] = self._values[first - self._start : self.end - self._start]
        self._start = first


class WaveformWindows:
    """Windows of samples, for a network that takes waveforms or values.

    Args:
        size: samples of a window.
        hop: samples from the start of one window to that of the next.
        channels: of values; None for waveforms.
    """

    def __init__(self, size: int, *, hop: int, channels: int | None = None) -> None:
        self._size, self._hop = size, hop
        self._samples = SampleBuffer(size, channels=channels)
        self.reset()

    def reset(self) -> None:
        """Forget every sample."""
        self._samples.reset()
        self._number = 0

    def push(self, samples: Floats) -> Iterator[tuple[Floats, Floats | None]]:
        """The windows [size], or [size, channels], that these samples complete, with None.

        The next one overwrites it.
        """
        rest = samples
        while len(rest):
            start = self._number * self._hop
            self._samples.drop(start)
            taken = rest[: start + self._size - self._samples.end]
            # Samples between windows that do not touch are dropped, as many as fit at once.
            taken = taken[: self._size - max(0, self._samples.end - start)]
            self._samples.append(taken)
            rest = rest[len(taken) :]
            if self._samples.end == start + self._size:
                self._number += 1
                yield self._samples.view(start, start + self._size), None


class LogMelWindows:
    """Windows of log-mel frames, each of which is computed once and kept for the windows that it is in.

    Args:
        backend: whose front end makes the frames.
        features: settings of the log-mel.
        size: samples of a window.
        hop: samples from the start of one window to that of the next, a multiple of the hop of the features.
    """

    def __init__(self, backend: str, features: FeatureConfig, size: int, *, hop: int) -> None:
        self._log_mel, self._features = front_end(backend, features), features
        self._size, self._hop = size, hop
        self._frames = np.zeros((features.num_frames(size), features.num_mels), np.float32)
        self._samples = SampleBuffer(size + hop + features.window_samples)
        self.reset()

    def reset(self) -> None:
        """Forget every sample and frame."""
        self._samples.reset()
        self._number = self._made = 0  # windows and frames

    def push(self, samples: Floats) -> Iterator[tuple[Floats, Floats | None]]:
        """The windows [frames, mels] that these samples complete, each with the frames that are new since the last one,
        which may be more than it has. The next one overwrites it.
        """
        rest = samples
        while rest.size:
            end = self._number * self._hop + self._size
            taken = rest[: end - self._samples.end]
            self._samples.append(taken)
            rest = rest[taken.size :]
            if self._samples.end == end:
                self._number += 1
                new = self._new_frames(end)
                kept = max(0, len(self._frames) - len(new))
                self._frames[:kept] = self._frames[len(self._frames) - kept :]
                self._frames[kept:] = new[len(new) - (len(self._frames) - kept) :]
                yield self._frames, new

    def _new_frames(self, end: int) -> Floats:
        features, hop = self._features, self._features.hop_samples
        # The frames of a window are whole within it, though a later one may already fit into the samples so far.
        last = (end - self._size) // hop + len(self._frames)
        start, stop = self._made * hop, (last - 1) * hop + features.window_samples
        new = self._log_mel(self._samples.view(start, stop))
        self._made = last
        self._samples.drop(last * hop)
        return new
