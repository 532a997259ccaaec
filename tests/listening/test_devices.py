import sys

import pytest
from fake_sounddevice import device, install

from bnn_exit.errors import ArgumentError, DeviceError, MissingPackageError
from bnn_exit.listening import devices


@pytest.fixture
def sound(monkeypatch):
    return install(
        monkeypatch,
        device("HDA Intel PCH: ALC257 (hw:0,0)", inputs=2, rate=44100.0),
        device("HDMI 0", inputs=0),
        device("USB PnP Sound Device: Audio (hw:2,0)"),
        device("USB Camera: Audio (hw:3,0)"),
    )


def test_only_devices_that_record_are_listed(sound):
    sound.default = 2
    assert devices.table(devices.devices()).splitlines() == [
        "  0\tHDA Intel PCH: ALC257 (hw:0,0)\tALSA\t2 channels\t44100 Hz",
        "* 2\tUSB PnP Sound Device: Audio (hw:2,0)\tALSA\t1 channel\t48000 Hz",
        "  3\tUSB Camera: Audio (hw:3,0)\tALSA\t1 channel\t48000 Hz",
    ]
    assert devices.table([]) == "there is no microphone"


@pytest.mark.parametrize(
    ("wanted", "number"),
    [(None, 3), ("2", 2), (" 0 ", 0), ("pnp", 2), ("usb camera: audio (hw:3,0)", 3), ("ALC257", 0), ("hw:2,0", 2)],
)
def test_a_device_is_found_by_number_or_part_of_its_name(sound, wanted, number):
    sound.default = 3
    assert devices.find(wanted, devices.devices()).number == number


def test_without_a_default_the_first_is_taken(sound):
    sound.default = -1
    assert devices.find(None, devices.devices()).number == 0


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("1", r"device is 1, but the microphones are 0, 2, 3 \(python -m bnn_exit.listen --list-devices\)"),
        ("usb", r"device is 'usb', which is in the names of 2 \(USB PnP .*ALSA\), 3 \(USB Camera.*\): give a number"),
        ("camara", "no microphone has such a name; did you mean 'USB Camera: Audio"),
        ("xyzzy", "no microphone has such a name; they are 'HDA Intel PCH"),
        ("", "no microphone has such a name"),
    ],
)
def test_a_wrong_device_names_those_that_are_there(sound, wanted, text):
    with pytest.raises(ArgumentError, match=text):
        devices.find(wanted, devices.devices())


def test_no_microphone_at_all(monkeypatch):
    install(monkeypatch, device("HDMI 0", inputs=0))
    with pytest.raises(DeviceError, match="there is no microphone: plug one in, or give - for standard input"):
        devices.find(None, devices.devices())


def test_a_sound_system_that_fails(sound):
    sound.fault = "Error\nquerying device"
    with pytest.raises(DeviceError, match="the sound system does not list its devices: Error querying device"):
        devices.devices()


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingPackageError, match=r"needs the package sounddevice: pip install '\.\[microphone\]'"):
        devices.devices()


def test_without_portaudio_its_package_is_named(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackageError, match="needs the library PortAudio: apt install libportaudio2"):
        devices.devices()
