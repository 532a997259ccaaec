"""The systemd unit and the Dockerfile: what they run is what our commands take, with as few rights as they need."""

import re
import shlex
import shutil
import subprocess

import pytest
from doc_pages import ROOT

from bnn_exit.commands import listen, serve

UNIT = ROOT / "examples" / "bnn-exit-listen.service"
DOCKERFILE = (ROOT / "examples" / "Dockerfile").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def settings():
    """Of the unit: section -> name -> value."""
    found = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            assert name not in section, name
            section[name] = value
    return found


def test_the_unit_runs_a_command_that_there_is():
    python, *words = shlex.split(settings()["Service"]["ExecStart"])
    assert python == "/opt/bnn-exit/bin/python" and words[:2] == ["-m", "bnn_exit.listen"]
    options = listen.parser().parse_args(words[2:])
    assert options.json and options.save == "/var/lib/bnn-exit"
    assert options.save == f"/var/lib/{settings()['Service']['StateDirectory']}"


def test_the_unit_may_do_little():
    service = settings()["Service"]
    wanted = {
        "DynamicUser": "yes", "NoNewPrivileges": "yes", "PrivateNetwork": "yes", "ProtectSystem": "strict",
        "ProtectHome": "yes", "CapabilityBoundingSet": "", "DevicePolicy": "closed", "DeviceAllow": "char-alsa rw",
        "SupplementaryGroups": "audio", "SystemCallFilter": "@system-service", "RestrictAddressFamilies": "AF_UNIX",
    }  # fmt: skip
    assert {name: service[name] for name in wanted} == wanted
    assert service["Restart"] == "on-failure" and settings()["Install"] == {"WantedBy": "multi-user.target"}


def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = UNIT.read_text(encoding="utf-8").replace("/opt/bnn-exit/bin/python", "/bin/true")
    (tmp_path / UNIT.name).write_text(unit, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)], capture_output=True, text=True
    )
    assert not [line for line in done.stderr.splitlines() if UNIT.name in line]


def test_the_image_runs_a_command_that_there_is():
    entry, arguments = (re.search(rf"^{name} \[(.*)\]$", DOCKERFILE, re.M)[1] for name in ("ENTRYPOINT", "CMD"))
    assert re.findall(r'"(.*?)"', entry) == ["python", "-m", "bnn_exit.serve"]
    options = serve.parser().parse_args(re.findall(r'"(.*?)"', arguments))
    assert options.models == ["/models/model.tflite"]
    port = re.search(r"^EXPOSE (\d+)$", DOCKERFILE, re.M)[1]
    assert options.uri.endswith(f":{port}")
    assert re.search(r"^USER (?!root)\w+$", DOCKERFILE, re.M)


def test_the_image_has_the_packages_of_the_extras_and_ours_from_no_index():
    installed = re.findall(r"'([\w]+)(>=[\d.]+)'", DOCKERFILE)
    assert [name for name, _ in installed] == ["numpy", "sounddevice", "wyoming"]
    assert all(f'["{name}{version}"]' in PYPROJECT for name, version in installed)
    assert re.search(r"pip install [^&]*--no-index --no-deps --find-links /tmp/dist bnn_exit\b", DOCKERFILE)
    (image,) = re.findall(r"^FROM python:([\d.]+)-slim$", DOCKERFILE, re.M)
    assert f'"Programming Language :: Python :: {image}"' in PYPROJECT


def test_docker_is_given_what_the_dockerfile_copies_and_nothing_else():
    ignored = (ROOT / "examples" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE)
    assert [line for line in ignored if not line.startswith("#")] == ["*", *(f"!{each}" for each in copied)]
