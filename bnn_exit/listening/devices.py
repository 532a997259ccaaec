"""The microphones of this machine, through the package sounddevice, which is imported when it is needed."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Sequence
from typing import Any

from bnn_exit.errors import ArgumentError, DeviceError, MissingPackageError, missing_package
from bnn_exit.text import counted

LIST = "python -m bnn_exit.listen --list-devices"


@dataclasses.dataclass(frozen=True)
class Device:
    """A device with an input.

    Attributes:
        number: by which PortAudio knows it, as long as nothing is plugged in or out.
        name: as the system calls it.
        host: the sound system, such as ALSA.
        channels: that it can record.
        rate_hz: its own sample rate.
        is_default: whether it is used if none is named.
    """

    number: int
    name: str
    host: str
    channels: int
    rate_hz: int
    is_default: bool


def sound() -> Any:
    """The module sounddevice.

    Raises:
        MissingPackageError: it or the library PortAudio is not installed.
    """
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise missing_package("sounddevice", purpose="listening to a microphone", extra="microphone") from error
    except OSError as error:  # the package is there, its library is not
        raise MissingPackageError(
            "listening to a microphone needs the library PortAudio: apt install libportaudio2"
        ) from error


def restart(module: Any) -> None:
    """Look for devices anew: PortAudio does so only when it starts. No stream may be open."""
    for name in ("_terminate", "_initialize"):
        getattr(module, name, lambda: None)()


def devices() -> list[Device]:
    """Every device with an input.

    Raises:
        MissingPackageError: as `sound`.
        DeviceError: the sound system does not answer.
    """
    module = sound()
    try:
        listed, hosts = module.query_devices(), module.query_hostapis()
    except module.PortAudioError as error:
        raise DeviceError(f"the sound system does not list its devices: {_line(error)}") from error
    default = _default(hosts)
    return [
        Device(
            number=number,
            name=str(each["name"]),
            host=str(hosts[each["hostapi"]]["name"]),
            channels=int(each["max_input_channels"]),
            rate_hz=round(each["default_samplerate"]),
            is_default=number == default,
        )
        for number, each in enumerate(listed)
        if each["max_input_channels"] > 0
    ]


def _default(hosts: Sequence[Any]) -> int:
    # Of the first sound system that has one. `sounddevice.default` keeps the number it had when it was imported.
    return next((host["default_input_device"] for host in hosts if host["default_input_device"] >= 0), -1)


def find(wanted: str | None, known: Sequence[Device]) -> Device:
    """The device with a number or a part of a name; the default, or else the first, for None.

    Raises:
        ArgumentError: no such device (with the nearest), or several.
        DeviceError: there is no microphone at all.
    """
    if not known:
        raise DeviceError("there is no microphone: plug one in, or give - for standard input or an audio file")
    if wanted is None:
        return next((each for each in known if each.is_default), known[0])
    text = wanted.strip().lower()
    if text.isdecimal():
        for each in known:
            if each.number == int(text):
                return each
        numbers = ", ".join(str(each.number) for each in known)
        raise ArgumentError(f"device is {wanted}, but the microphones are {numbers} ({LIST})")
    matches = [each for each in known if text and text in f"{each.name}, {each.host}".lower()]
    exact = [each for each in matches if text == each.name.lower()]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    if matches:
        found = ", ".join(f"{each.number} ({each.name}, {each.host})" for each in exact or matches)
        raise ArgumentError(f"device is {wanted!r}, which is in the names of {found}: give a number")
    raise ArgumentError(f"device is {wanted!r}, but no microphone has such a name{_nearest(text, known)} ({LIST})")


def _nearest(text: str, known: Sequence[Device]) -> str:
    """The name that is most like a text, as a whole or in one of its words."""

    def likeness(device: Device) -> float:
        name = device.name.lower()
        return max(difflib.SequenceMatcher(None, text, piece).ratio() for piece in [name, *name.split()])

    best = max(known, key=likeness)
    if likeness(best) >= 0.5:
        return f"; did you mean {best.name!r}?"
    return f"; they are {', '.join(repr(each.name) for each in known)}"


def table(known: Sequence[Device]) -> str:
    """One line for each device, with a star at the default."""
    if not known:
        return "there is no microphone"
    lines = [
        f"{'*' if each.is_default else ' '} {each.number}\t{each.name}\t{each.host}\t"
        f"{counted(each.channels, 'channel')}\t{each.rate_hz} Hz"
        for each in known
    ]
    return "\n".join(lines)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
