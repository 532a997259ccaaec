"""What does a server behind the device bring, over which link, and what happens when it fails?

    python benchmarks/offload.py link runs/words --clips 200
    python benchmarks/offload.py load runs/words
    python benchmarks/offload.py faults runs/words

`link` compares, at every bandwidth and round trip: all exits on the device; all on the server (the measured transfer of
16-bit samples or of log-mel, whichever is smaller, and the measured time of the network); a fixed split after each
exit, where every clip that does not leave is sent; and the scheduler, which has both halves. `load` raises the number
of clients until one server process misses a p99. `faults` kills the server, cuts the link, lets it hang and flips bits
on both ways while clips come, and compares every answer with what the halves give here. The link is the proxy of
`slow_link.py`. Device and server are this machine: with `--slower 10` the device takes ten times as long (modelled:
added to what was measured). Clips and labels are of the test split. Writes results/offload_MODE.json.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called, report
from slow_link import SlowLink

from bnn_exit import machine
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.offload import Address, OffloadClient, packet
from bnn_exit.offload.halves import DeviceHalf, ExitAnswer, ServerHalf
from bnn_exit.policies import rule
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime.session import Session

HERE = Path(__file__).parent
MEGABITS, ROUND_TRIPS_MS = (0.1, 1.0, 10.0), (5, 50, 200)
FAULTS = ("cut link", "hanging link", "changed requests", "changed answers", "killed server")
LONG_S = 60.0
"""A deadline that no clip of a fixed split meets by chance."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("link", "load", "faults"))
    parser.add_argument("run")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--operating-point", default="balanced")
    parser.add_argument("--deadline-ms", type=float, default=500)
    parser.add_argument("--objective", default="latency")
    parser.add_argument("--p99-ms", type=float, default=50, help="of `load`")
    parser.add_argument("--seconds", type=float, default=10, help="of each number of clients of `load`")
    parser.add_argument("--slower", type=float, default=1, help="how much slower than this machine the device is")
    parser.add_argument("--server-python", default=sys.executable, help="of an environment with the extra server")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    setting = Setting(options)
    figures, bars = {"link": link, "load": load, "faults": faults}[options.mode](setting)
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "split": "test",
        "sample_count": len(setting.clips),
        "device_slower_by": options.slower,
        "operating_point": options.operating_point,
        **figures,
    }
    path = options.out or HERE / "results" / f"offload_{options.mode}.json"
    write_json(path, result)
    status = report(bars)
    print(f"wrote {path}")
    return status


class Setting:
    """The whole file, its splits, clips with their labels, and the times of the device."""

    def __init__(self, options: argparse.Namespace) -> None:
        import audio_tasks  # not above: the clients of `load` import this module, and need no TensorFlow
        from bnn_exit.conversion.split import cut

        self.options = options
        run = RunFolder(options.run)
        self.file = reader.read(run.model)
        self.whole = Session(self.file, backend="native")
        self.exits = len(self.file.metadata.exits)
        task = audio_tasks.load_again(run.config.task)
        count = len(task.test)
        chosen = np.linspace(0, count - 1, min(options.clips, count)).astype(int)
        self.clips = [self.whole.inputs(each) for each in task.test.waveforms(chosen)]
        self.labels = np.asarray(task.test.labels)[chosen]
        self.thresholds = self.file.thresholds(operating_point=options.operating_point)
        self.folder = Path(tempfile.mkdtemp())
        for after in range(1, self.exits):
            halves = cut(self.file, after)
            self.path("device", after).write_bytes(halves.device)
            self.path("server", after).write_bytes(halves.server)
        self.profile = self._profile()

    def path(self, role: str, after: int) -> Path:
        return self.folder / f"{role}_{after}.tflite"

    def _profile(self) -> DeviceProfile:
        times = []
        for exit_index in range(self.exits):
            thresholds = rule.forcing_thresholds(exit_index, exits=self.exits)
            begin = time.perf_counter()
            for _ in range(50):
                self.whole.infer(self.clips[0], thresholds)
            times.append(self.options.slower * (time.perf_counter() - begin) / 50 * 1e6)
        return DeviceProfile("device", tuple(times), tuple(times), "native")

    @contextlib.contextmanager
    def server(self, after: int) -> Iterator[tuple[int, subprocess.Popen]]:
        """The real server of a split; its port and process."""
        with socket.socket() as made:
            made.bind(("127.0.0.1", 0))
            port = made.getsockname()[1]
        words = [self.options.server_python, "-m", "bnn_exit.serve_model", str(self.path("server", after))]
        with open(self.folder / "server.log", "a") as log:
            process = subprocess.Popen([*words, "--port", str(port), "--max-clients", "1024"], stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while True:
                with OffloadClient(self.path("device", after), Address(f"127.0.0.1:{port}")) as client:
                    if client.connect(2.0):
                        break
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit((self.folder / "server.log").read_text())
            yield port, process
        finally:
            process.kill()
            process.wait()

    def client(self, after: int, port: int, **more: object) -> OffloadClient:
        given = {"deadline_s": self.options.deadline_ms / 1000, **more}
        return OffloadClient(self.path("device", after), Address(f"127.0.0.1:{port}"), **given)

    def wait(self, exit_index: int) -> float:
        """Seconds that the device takes longer than this machine, to leave at an exit."""
        return self.profile.mean_us[exit_index] / 1e6 * (1 - 1 / self.options.slower)


def figures_of(setting: Setting, seconds: list[float], labels: list[int], **more: object) -> dict:
    """What a way of answering reached."""
    ms = 1000 * np.asarray(seconds)
    return {
        "mean_ms": float(ms.mean()),
        "p50_ms": float(np.percentile(ms, 50)),
        "p99_ms": float(np.percentile(ms, 99)),
        "accuracy": float(np.mean(np.asarray(labels) == setting.labels[: len(labels)])),
        **more,
    }


def through(setting: Setting, client: OffloadClient, after: int) -> dict:
    """Every clip in turn by a client."""
    client.connect(10.0)
    seconds, labels, places, faults_seen = [], [], [], 0
    for clip in setting.clips:
        begin = time.perf_counter()
        found = client.predict_inputs(clip, operating_point=setting.options.operating_point)
        on_device = min(found.exit_index, after - 1) if found.where != "local" else found.exit_index
        seconds.append(time.perf_counter() - begin + setting.wait(on_device))
        labels.append(found.label_index)
        places.append(found.where)
        faults_seen += bool(found.fault)
    shares = {place: places.count(place) / len(places) for place in ("device", "local", "server")}
    return figures_of(setting, seconds, labels, shares=shares, faults=faults_seen)


def link(setting: Setting) -> tuple[dict, list[dict]]:
    """All ways over all links."""
    rows, metadata = [], setting.file.metadata
    values = metadata.features.num_frames(metadata.clip_samples) * metadata.features.num_mels
    size = min(4 * values, 2 * metadata.clip_samples)
    with contextlib.ExitStack() as stack:
        ports = {after: stack.enter_context(setting.server(after))[0] for after in range(1, setting.exits)}
        for megabits in MEGABITS:
            for round_trip_ms in ROUND_TRIPS_MS:
                shape = {"bits_per_s": megabits * 1e6, "delay_s": round_trip_ms / 2000}
                row: dict = {"megabits": megabits, "round_trip_ms": round_trip_ms, "ways": {}}
                row["ways"]["device"] = alone(setting)
                row["ways"]["server"] = all_sent(setting, size, shape)
                for after, port in ports.items():
                    slow = SlowLink(("127.0.0.1", port), **shape)
                    with setting.client(after, slow.port, deadline_s=LONG_S) as client:
                        row["ways"][f"split {after}"] = through(setting, client, after)
                    local = {"local": setting.path("server", after), "profile": setting.profile}
                    with setting.client(after, slow.port, objective=setting.options.objective, **local) as client:
                        row["ways"][f"scheduler {after}"] = through(setting, client, after)
                    slow.close()
                rows.append(row)
                line = ", ".join(f"{name} {way['mean_ms']:.2f} ms" for name, way in row["ways"].items())
                print(f"{megabits} Mbit/s, {round_trip_ms} ms: {line}", flush=True)
    bars = []
    for row in rows:
        ways = row["ways"]
        best = min(ways[name]["mean_ms"] for name in ways if not name.startswith("scheduler"))
        own = min(ways[name]["mean_ms"] for name in ways if name.startswith("scheduler"))
        what = f"scheduler beside the best fixed way at {row['megabits']} Mbit/s and {row['round_trip_ms']} ms, times"
        bars.append({"what": what, "figure": own / best, "bar": "1.1", "met": own <= 1.1 * best})
    return {"sent_whole_bytes": size, "deadline_ms": setting.options.deadline_ms, "rows": rows}, bars


def alone(setting: Setting) -> dict:
    """All exits on the device."""
    seconds, labels = [], []
    for clip in setting.clips:
        begin = time.perf_counter()
        probabilities, exit_index, _ = setting.whole.infer(clip, setting.thresholds)
        seconds.append(time.perf_counter() - begin + setting.wait(exit_index))
        labels.append(int(probabilities.argmax()))
    return figures_of(setting, seconds, labels)


def all_sent(setting: Setting, size: int, shape: dict) -> dict:
    """All exits on the server: the measured way of so many bytes, and the measured time of the network."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        slow = SlowLink(("127.0.0.1", listener.getsockname()[1]), **shape)
        threading.Thread(target=_answer, args=(listener, size), daemon=True).start()
        seconds, labels = [], []
        with socket.create_connection(("127.0.0.1", slow.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for clip in setting.clips[:20]:
                begin = time.perf_counter()
                connection.sendall(bytes(size))
                connection.recv(1)
                probabilities, _, _ = setting.whole.infer(clip, setting.thresholds)
                seconds.append(time.perf_counter() - begin)
                labels.append(int(probabilities.argmax()))
        slow.close()
    labels += [int(setting.whole.infer(clip, setting.thresholds)[0].argmax()) for clip in setting.clips[20:]]
    return figures_of(setting, seconds, labels)


def _answer(listener: socket.socket, size: int) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        got = 0
        while data := connection.recv(65536):
            got += len(data)
            while got >= size:
                connection.sendall(b"\0")
                got -= size


def _client_work(path: Path, port: int, clips: list, exits: int, seconds: float, results: Any) -> None:
    times, failed = [], 0
    thresholds = np.zeros(exits - 1)
    with OffloadClient(path, Address(f"127.0.0.1:{port}"), deadline_s=LONG_S) as client:
        client.connect(10.0)
        end, index = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            found = client.predict_inputs(clips[index % len(clips)], thresholds=thresholds)
            times.append(found.seconds)
            failed += found.where != "server"
            index += 1
    results.put((times, failed))


def load(setting: Setting) -> tuple[dict, list[dict]]:
    """More and more clients, which send every clip one after the other, until the p99 is missed."""
    rows, spawn = [], multiprocessing.get_context("spawn")
    with setting.server(1) as (port, _):
        for clients in (1, 2, 4, 8, 16, 32, 64):
            results = spawn.Queue()
            arguments = (setting.path("device", 1), port, setting.clips[:20], setting.exits, setting.options.seconds)
            processes = [spawn.Process(target=_client_work, args=(*arguments, results)) for _ in range(clients)]
            for process in processes:
                process.start()
            found = [results.get() for _ in processes]
            for process in processes:
                process.join()
            times = np.concatenate([each for each, _ in found])
            row = {
                "clients": clients,
                "requests_per_s": len(times) / setting.options.seconds,
                "p50_ms": 1000 * float(np.percentile(times, 50)),
                "p99_ms": 1000 * float(np.percentile(times, 99)),
                "failed": sum(failed for _, failed in found),
            }
            rows.append(row)
            print(row, flush=True)
            if row["p99_ms"] > setting.options.p99_ms:
                break
    within = [row for row in rows if row["p99_ms"] <= setting.options.p99_ms]
    held = max((row["requests_per_s"] for row in within), default=0.0)
    failed = sum(row["failed"] for row in within)
    bars = [
        {"what": "requests a second within the p99", "figure": held, "bar": "above 0", "met": held > 0},
        {"what": "requests that failed", "figure": failed, "bar": "0", "met": failed == 0},
    ]
    return {"p99_ms": setting.options.p99_ms, "held_per_s": held, "rows": rows}, bars


def faults(setting: Setting) -> tuple[dict, list[dict]]:
    """Clips come without a pause while one thing after the other breaks and is mended."""
    rows, bars, deadline_s = [], [], setting.options.deadline_ms / 1000
    count, thresholds = setting.options.clips, np.zeros(setting.exits - 1)
    expected = _answers_of_halves(setting, thresholds)
    for fault in FAULTS:
        with setting.server(1) as (port, process):
            slow = SlowLink(("127.0.0.1", port), bits_per_s=10e6, delay_s=0.005)
            breaks = {
                "cut link": slow.cut,
                "hanging link": slow.hang,
                "changed requests": functools.partial(slow.corrupt, "up"),
                "changed answers": functools.partial(slow.corrupt, "down"),
                "killed server": process.kill,
            }
            answers: list = []
            with setting.client(1, slow.port) as client:
                client.connect(10.0)
                for index in range(count):
                    if index == count // 3:
                        breaks[fault]()
                    if index == 2 * count // 3:
                        slow.mend()
                    clip = setting.clips[index % len(setting.clips)]
                    answers.append(client.predict_inputs(clip, thresholds=thresholds))
                    time.sleep(0.05)  # of the time that a device has no clip
            slow.close()
        wrong = 0
        for index, found in enumerate(answers):
            right = expected[index % len(expected)][found.where == "server"]
            same = np.array_equal(found.probabilities, right.probabilities)
            wrong += not (same and (found.exit_index, found.score) == (right.exit_index, right.score))
        row = {
            "fault": fault,
            "clips": count,
            "answered": len(answers),
            "wrong": wrong,
            "by_the_server": sum(each.where == "server" for each in answers),
            "worst_ms": 1000 * max(each.seconds for each in answers),
            "faults": sorted({each.fault[:80] for each in answers if each.fault}),
        }
        rows.append(row)
        print(row, flush=True)
        what = f"{fault}: answers that are neither that of the device nor that of the server"
        bars.append({"what": what, "figure": wrong, "bar": "0", "met": wrong == 0})
        bound = 1000 * deadline_s + 50
        worst = row["worst_ms"]
        bars.append({"what": f"{fault}: worst ms", "figure": worst, "bar": f"{bound:g}", "met": worst <= bound})
    return {"deadline_ms": setting.options.deadline_ms, "rows": rows}, bars


def _answers_of_halves(setting: Setting, thresholds: np.ndarray) -> list[tuple[ExitAnswer, ExitAnswer]]:
    """Of each clip the answer of the device alone, and that of both halves for what travels."""
    device, server = DeviceHalf(setting.path("device", 1)), ServerHalf(setting.path("server", 1))
    found = []
    for clip in setting.clips:
        answer, _, tensors = device(clip, thresholds)
        arrived = packet.decode(packet.encode(tensors, device.split), server.split)
        found.append((answer, server(arrived, thresholds)))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
