"""What `listen` prints, saves and starts: windows, events, notes and the summary."""

from __future__ import annotations

import datetime
import sys
from typing import Any

import numpy as np

from bnn_exit.display import json_line, show, shown
from bnn_exit.errors import describe_os_error
from bnn_exit.listening.clips import Saver
from bnn_exit.listening.meter import Meter
from bnn_exit.listening.programs import Programs
from bnn_exit.listening.tally import Tally
from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.detector import Event
from bnn_exit.runtime.session import Session
from bnn_exit.runtime.stream import GATED, Window


class Announcer:
    """Events and windows go to standard output, notes to standard error.

    Attributes:
        meter: is erased before anything is printed.
        programs: are started for events.
        saver: keeps the sound of events.
        began: when the sound began, if it has a date: a microphone's.
    """

    def __init__(self, session: Session, *, as_json: bool, with_windows: bool) -> None:
        self._session, self._as_json, self._with_windows = session, as_json, with_windows
        self.meter: Meter | None = None
        self.programs: Programs | None = None
        self.saver: Saver | None = None
        self.began: datetime.datetime | None = None

    def erase(self) -> None:
        """Take the meter away."""
        if self.meter:
            self.meter.erase()

    def tell(self, line: str) -> None:
        """A note for the user."""
        self.erase()
        show(f"note: {line}", file=sys.stderr)

    def window(self, window: Window) -> None:
        """Every window, printed if it is wanted."""
        if self.programs:
            self.programs.reap()
        if not self._with_windows:
            return
        labels = self._session.labels
        values = {
            "start_s": window.start_s,
            "end_s": window.end_s,
            "exit_index": window.exit_index,
            "probabilities": dict(zip_strict(labels, map(_finite, window.probabilities))),
        }
        what = "gate closed"
        if window.exit_index != GATED:
            index = int(np.argmax(window.probabilities))
            what = f"{shown(labels[index])}\t{window.probabilities[index]:.3f}\t{self._exit(window.exit_index)}"
        self._print("window", values, f"{window.end_s:.3f}\twindow\t{what}")

    def event(self, event: Event) -> None:
        """An event: its sound is saved, it is printed, and its program is started."""
        values: dict[str, Any] = {
            "label": event.label,
            "probability": event.probability,
            "time_s": event.time_s,
            "start_s": event.start_s,
            "end_s": event.end_s,
            "exit_index": event.exit_index,
        }
        if self.began is not None:
            values["date"] = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        file = self._save(event)
        if file:
            values["file"] = file
        what = f"{shown(event.label)}\t{event.probability:.3f}\t{self._exit(event.exit_index)}"
        self._print("event", values, f"{event.time_s:.3f}\tevent\t{what}")
        if self.programs:
            times = {name: f"{values[name]:.3f}" for name in ("probability", "time_s", "start_s", "end_s")}
            self.programs.start({**times, "label": event.label, "exit": event.exit_index + 1, "file": file})

    def end(self, tally: Tally, *, source: str, window_s: float, stopped: bool) -> None:
        """The summary.

        Args:
            tally: what was counted.
            source: where the sound came from.
            window_s: length of a window.
            stopped: by the user, before the source ended.
        """
        if not stopped and not tally.samples and not tally.gaps:
            self.tell(f"{shown(source)} ended before the first sample: nothing came")
        elif not stopped and not tally.windows:
            self.tell(
                f"{shown(source)} ended within the first window: it has {tally.seconds:.3g} s, "
                f"but a window has {window_s:.3g} s"
            )
        self.erase()
        if self._as_json:
            show(json_line({"type": "summary", **tally.to_dict()}))
        else:
            show(tally.text(), file=sys.stderr)
        if self.programs:
            self.programs.close()

    def _print(self, kind: str, values: dict[str, Any], text: str) -> None:
        self.erase()
        show(json_line({"type": kind, **values}) if self._as_json else text)

    def _exit(self, exit_index: int) -> str:
        return f"exit {exit_index + 1} of {self._session.exits}"

    def _save(self, event: Event) -> str:
        if self.saver is None:
            return ""
        try:
            return str(self.saver.save(event) or "")
        except OSError as error:  # a full disk does not end the listening
            self.tell(f"the sound of an event was not saved: {describe_os_error(error)}")
            return ""


def _finite(value: np.float32) -> float | None:
    """JSON has no NaN, which damaged weights may give."""
    return float(value) if np.isfinite(value) else None
