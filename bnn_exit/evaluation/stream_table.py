"""The figures of recordings as text for a terminal."""

from __future__ import annotations

from bnn_exit.display import shown
from bnn_exit.evaluation.stream_report import ALL, LabelFigures, Rate, StreamReport
from bnn_exit.text import counted

ROWS = 13
"""Of the DET curve that are printed, at most."""


def stream_table(report: StreamReport) -> str:
    """What was listened to, a line for each label, delays, costs, and some points of the DET curve."""
    point = report.point
    known = f", {report.hours_transcribed:.3f} of them with a transcript" if report.hours_transcribed else ""
    lines = [
        f"{counted(len(report.files), 'recording')}, {report.hours:.3f} hours{known}; "
        f"listening point {shown(point.name)}, operating point {shown(report.operating_point)}, "
        f"backend {report.backend}, {report.provenance['machine']['cpu']}",
        "",
        *_labels(report),
        *_parts(report),
        "",
    ]
    if report.delay_s:
        values = ", ".join(f"{name} % {value:.2f}" for name, value in report.delay_s.items())
        lines.append(f"seconds from the end of a word to its event, at most: {values}")
    shares = ", ".join(f"exit {index + 1} {100 * share:.1f}" for index, share in enumerate(report.exit_shares))
    gated = f", not run {100 * report.gated_share:.1f}" if report.gated_share else ""
    lines += [
        f"{counted(report.windows, 'window')}, {point.hop_ms:g} ms apart; they leave at (%): {shares}{gated}",
        f"network: {report.ops_per_s / 1e6:.3f} M operations for a second of audio, {report.relative_ops:.3f} times "
        f"exit 1's for a window; all: {100 * report.share_of_core:.3f} % of a core",
        "",
        *_det(report),
    ]
    return "\n".join(lines)


def _labels(report: StreamReport) -> list[str]:
    spoken = any(figures.spoken for figures in report.labels.values())
    width = max(len(shown(label)) for label in (*report.labels, "label"))
    more = f" {'spoken':>6} {'found':>5}" if spoken else ""
    lines = [f"{'label':{width}} {'words':>6} {'found':>6} {'missed %':>8}{more}  false accepts an hour (95 % bounds)"]
    quiet = [label for label, figures in report.labels.items() if label != ALL and _is_quiet(figures)]
    for label, figures in report.labels.items():
        if label in quiet and len(quiet) > 1:
            continue
        missed = f"{100 * (1 - figures.hits / figures.words):.1f}" if figures.words else "-"
        more = f" {figures.spoken:6d} {figures.spoken_hits:5d}" if spoken else ""
        lines.append(
            f"{shown(label):{width}} {figures.words:6d} {figures.hits:6d} {missed:>8}{more}  "
            f"{_rate(figures.false_accepts)}"
        )
    if len(quiet) > 1:
        lines.append(
            f"{len(quiet)} labels have neither words nor events: {_rate(report.labels[quiet[0]].false_accepts)}"
        )
    return lines


def _is_quiet(figures: LabelFigures) -> bool:
    return not (figures.words or figures.spoken or figures.false_accepts.count)


def _parts(report: StreamReport) -> list[str]:
    if report.transcribed is None:
        return []
    lines = [f"while an utterance with a transcript is spoken: {_rate(report.transcribed)}"]
    if report.untranscribed is not None:
        lines.append(f"in the other hours, whose words are not known: {_rate(report.untranscribed)}")
    return lines


def _rate(rate: Rate) -> str:
    return f"{rate.per_hour:.2f} ({rate.low:.2f} to {rate.high:.2f}; {rate.count} in {rate.hours:.3f} h)"


def _det(report: StreamReport) -> list[str]:
    step = max(1, -(-len(report.det) // ROWS))
    middle = next((index for index, point in enumerate(report.det) if point.shift == 0), 0)
    lines = [f"{'threshold':>13} {'missed %':>8} {'false accepts an hour (95 % bounds)':>44} {'95 % within s':>13}"]
    for point in report.det[middle % step :: step]:
        low, high = (f"{value:.4f}".rstrip("0").rstrip(".") for value in point.thresholds)
        missed = "-" if point.recall is None else f"{100 * (1 - point.recall):.1f}"
        delay = "-" if point.delay_s is None else f"{point.delay_s:.2f}"
        mark = "  <- listening point" if point.shift == 0 else ""
        span = low if low == high else f"{low}..{high}"
        lines.append(f"{span:>13} {missed:>8} {_rate(point.false_accepts):>44} {delay:>13}{mark}")
    return lines
