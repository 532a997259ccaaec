"""What a split costs and loses: bytes for each clip, and how often both halves give the label of the whole file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError
from bnn_exit.offload import packet
from bnn_exit.offload.halves import DeviceHalf, ServerHalf
from bnn_exit.policies import rule
from bnn_exit.runtime.session import Session


@dataclasses.dataclass(frozen=True)
class SplitFigures:
    """Of one point of split, over some clips that all travel.

    Attributes:
        after: the last exit of the device, counted from 1.
        float_bytes: what the features would take as floats.
        packed_bytes: what travels, before compression.
        packet_bytes: mean size of a packet.
        clips: how many were measured.
        same_label: share of clips with the label of the whole file, at the last exit.
        same_bits: share of clips whose probabilities, exit and score are those of the whole file to the last bit, at
            every exit of the server.
        accuracy: at the last exit through both halves; None without labels.
        whole_accuracy: of the whole file.
        device_bytes, server_bytes: sizes of the files.
        travels: name, shape, code and bits of each tensor.
    """

    after: int
    float_bytes: int
    packed_bytes: int
    packet_bytes: float
    clips: int
    same_label: float
    same_bits: float
    accuracy: float | None
    whole_accuracy: float | None
    device_bytes: int
    server_bytes: int
    travels: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**dataclasses.asdict(self), "travels": list(self.travels)}


def measure(
    whole: Session,
    device: DeviceHalf,
    server: ServerHalf,
    clips: Sequence[npt.ArrayLike],
    *,
    labels: npt.NDArray[np.int64] | None = None,
    float_bytes: int,
) -> SplitFigures:
    """Send every clip through both halves and the whole file.

    Args:
        whole: the file that was split, on the same backend.
        device, server: its halves.
        clips: as `Session.inputs` gives them.
        labels: true classes [clips], 0-based.
        float_bytes: what the features would take as floats.

    Raises:
        ModelFileError: nothing is lost on the way, but the halves give something else than the whole file.
    """
    split, exits = device.split, device.split.exits
    sizes, labels_here, labels_whole, same = [], [], [], []
    for clip in clips:
        _, _, tensors = device(clip, rule.forcing_thresholds(exits - 1, exits=exits))
        sent = packet.encode(tensors, split)
        received = packet.decode(sent, split)
        is_same = True
        for exit_index in range(split.after, exits):
            thresholds = rule.forcing_thresholds(exit_index, exits=exits)
            answer, expected = server(received, thresholds), whole.infer(clip, thresholds)
            is_same &= bool(
                np.array_equal(answer.probabilities, expected[0], equal_nan=True)
                and answer.exit_index == expected[1]
                and np.array_equal(answer.score, expected[2], equal_nan=True)
            )
        sizes.append(len(sent))
        same.append(is_same)
        labels_here.append(int(answer.probabilities.argmax()))
        labels_whole.append(int(expected[0].argmax()))
    if split.is_exact and not all(same):
        raise ModelFileError(
            f"the halves after exit {split.after} differ from the whole file for {same.count(False)} of {len(same)} "
            f"clips on the {device.backend} backend, though nothing is lost on the way: report this as a fault"
        )
    here, there = np.asarray(labels_here), np.asarray(labels_whole)
    return SplitFigures(
        after=split.after,
        float_bytes=float_bytes,
        packed_bytes=packet.max_bytes(split),
        packet_bytes=float(np.mean(sizes)),
        clips=len(sizes),
        same_label=float(np.mean(here == there)),
        same_bits=float(np.mean(same)),
        accuracy=None if labels is None else float(np.mean(here == labels)),
        whole_accuracy=None if labels is None else float(np.mean(there == labels)),
        device_bytes=len(device.file.data),
        server_bytes=len(server.file.data),
        travels=tuple({**dataclasses.asdict(each), "shape": list(each.shape)} for each in split.travels),
    )


def table(rows: Sequence[SplitFigures]) -> str:
    """A line for each point of split."""
    lines = [
        f"{'after':>5s} {'as floats':>10s} {'packed':>8s} {'sent':>8s} {'same label':>10s} {'same bits':>9s} "
        f"{'accuracy':>8s} {'whole':>7s} {'device':>9s} {'server':>9s}  what travels"
    ]
    for row in rows:
        accuracies = (
            f"{'-' if value is None else f'{100 * value:.2f}%':>{width}s}"
            for value, width in ((row.accuracy, 8), (row.whole_accuracy, 7))
        )
        lines.append(
            f"{row.after:5d} {row.float_bytes:10,d} {row.packed_bytes:8,d} {row.packet_bytes:8,.0f} "
            f"{100 * row.same_label:9.2f}% {100 * row.same_bits:8.2f}% {' '.join(accuracies)} "
            f"{row.device_bytes:9,d} {row.server_bytes:9,d}  {' + '.join(map(_described, row.travels))}"
        )
    return "\n".join(lines)


def _described(each: dict[str, Any]) -> str:
    values = int(np.prod(each["shape"]))
    if each["code"] == "bits":
        return f"{32 * values:,d} x 1 bit"
    return f"{values:,d} x {each['bits']} bit{'' if each['code'] == 'linear' else ' (float)'}"
