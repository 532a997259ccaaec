"""The rows of `accuracy.py`: which networks are trained, with which options, and in which tables they stand.

Rows of the group `listening` are trained with negatives, long recordings without their words, in DIR/librispeech of
--data-dir DIR. That is read English speech, LibriSpeech, joined to streams of at most ten minutes, one utterance after
another, 16 kHz, in three folders without a speaker in common: train/ has half an hour of train-clean, validation/ other
streams of it, and test/ test-other. The first line of its file LICENSE credits them. `audio_tasks.negatives` reads it.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bnn_exit.errors import one_of

GROUPS = {
    "best": "The best network on Arabic Speech Commands, each training of it",
    "small": "The best small network on Arabic Speech Commands",
    "compact": "Half of the hops and fewer bands, on Arabic Speech Commands",
    "esc10": "ESC-10, each fold tested once",
    "backbones": "Four backbones on Arabic Speech Commands, from labels, fast recipe",
    "ablation": "What distillation and heads bring, on Arabic Speech Commands, fast recipe",
    "seeds": "The standard recipe with three seeds, on Arabic Speech Commands",
    "boosting": "The standard recipe with the scheme boosted, one seed, on Arabic Speech Commands",
    "quicknet": "The standard recipe, but QuickNet, with three seeds, on Arabic Speech Commands",
    "longer": "The large network, trained longer, on Arabic Speech Commands",
    "twin": "A binary network beside its full-precision twin, both distilled",
    "teacher": "Full-precision teachers",
    "listening": "Networks for streams, trained with background",
    "other": "Other data",
}
"""Group -> title of its table."""

PLACES = ("--data-dir", "--cache-dir", "--negatives", "--out")
"""Options that say nothing but where things are."""

MODEL = "model.tflite"
"""What a training writes last."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One network to train and measure.

    Attributes:
        name: of the row, of its run folder and of its result file.
        title: what the tables call it.
        groups: the tables that it stands in.
        data: folder of the data below --data-dir.
        options: of `bnn_exit.train`, or of `distill.train_teacher` for a teacher: name -> value, a list of values for
            an option that is repeated, or True for one without a value.
        teacher: name of the row of its teacher, which is trained first; None leaves it to the options and the recipe.
        negatives: folder below --data-dir of the long recordings that it is trained with; "" for none.
        file: of its run folder, that is measured.
    """

    name: str
    title: str
    groups: tuple[str, ...]
    data: str
    options: dict[str, Any]
    teacher: str | None = None
    negatives: str = ""
    file: str = MODEL

    @property
    def is_teacher(self) -> bool:
        """Whether the row is a teacher, which `distill.train_teacher` trains."""
        return "teacher" in self.groups

    def words(self) -> list[str]:
        """The options as words of a command line."""
        found = []
        for name, value in self.options.items():
            for each in value if isinstance(value, list) else [value]:
                found += [f"--{name.replace('_', '-')}", *([] if each is True else [str(each)])]
        return found

    def command(
        self, folder: Path, *, data_dir: str | None, teacher: Path | None = None, negatives: str | None = None
    ) -> list[str]:
        """What trains it into `folder`, for Python: `-m bnn_exit.train ...`."""
        module = "distill.train_teacher" if self.is_teacher else "bnn_exit.train"
        taught = ["--teacher", str(teacher)] if teacher else []
        place = ["--data-dir", data_dir] if data_dir else []
        place += ["--negatives", negatives] if negatives else []
        return ["-m", module, *self.words(), *taught, *place, "--out", str(folder)]

    def was_trained_by(self, command: str) -> bool:
        """Whether a command that is written in a run folder has the row's options; places do not count."""
        words = shlex.split(command)
        words = words[words.index("-m") + 2 :] if "-m" in words else words
        if ("--negatives" in words) != bool(self.negatives):
            return False
        own = self.words() + (["--teacher", self.teacher] if self.teacher else [])
        return [pair for pair in _pairs(words) if pair[0] not in PLACES] == _pairs(own)


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    """Options and their values, "" for one without, in order of the alphabet; of a path only its name."""
    values = [*words[1:], "--"]
    return sorted(
        (name, "" if value.startswith("--") else Path(value).name)
        for name, value in zip(words, values, strict=True)
        if name.startswith("--")
    )


def how_to(names: Iterable[str]) -> str:
    """The commands that train and measure these rows."""
    commands = (
        ["python", "benchmarks/accuracy.py", verb, *names, "--data-dir", "DIR"] for verb in ("train", "measure")
    )
    return " && ".join(map(shlex.join, commands))


WORDS = {"task": "speech_commands"}
ARABIC = "arabic_speech_commands"
QUICKNET = {"backbone": "quicknet"}
STANDARD = WORDS | {"recipe": "standard"}
# The network of the best recipe, in the time of the standard one.
LARGE = WORDS | QUICKNET | {"size": "large", "epochs": 30, "temperature": 2, "views": 30}
# Many trainings: the fast recipe tells which choice is better, not how good it can be.
ABLATION = WORDS | {"recipe": "fast", "size": "base"}
TEACHER = "words-teacher"
COMPACT = WORDS | {"recipe": "compact", "bfloat16": True, "temperature": 2, "views": 30}
COMPACT_TEACHER = "words-compact-teacher"
NEGATIVES = "librispeech"


def _words(name: str, title: str, *groups: str, teacher: str | None = TEACHER, **options: Any) -> Row:
    return Row(name, title, groups, ARABIC, options, teacher)


_ROWS = [
    _words(TEACHER, "residual network base", "teacher", teacher=None, **WORDS, size="base", epochs=40),
    _words("words-large", "QuickNet large", "best", "twin", **LARGE),
    *(_words(f"words-large-seed{seed}", f"QuickNet large, seed {seed}", "best", **LARGE, seed=seed) for seed in (1, 2)),
    _words("words-small", "QuickNet small", "small", teacher=None, **WORDS, **QUICKNET, size="small", epochs=40),
    _words("words-float", "QuickNet large, full precision", "twin", **LARGE, precision="float"),
    *(
        _words(
            f"words-glance-seed{seed}",
            f"glance base, seed {seed}",
            "seeds",
            teacher=None,
            **STANDARD,
            backbone="glance",
            bfloat16=True,
            seed=seed,
        )
        for seed in range(3)
    ),
    _words(
        "words-glance-boosted",
        "glance base, scheme boosted",
        "boosting",
        teacher=None,
        **STANDARD,
        backbone="glance",
        scheme="boosted",
        bfloat16=True,
        seed=0,
    ),
    *(
        _words(
            f"words-standard-seed{seed}",
            f"QuickNet base, seed {seed}",
            "quicknet",
            teacher=None,
            **STANDARD,
            **QUICKNET,
            seed=seed,
        )
        for seed in range(3)
    ),
    _words(
        COMPACT_TEACHER,
        "residual network base, 20 ms hops and 40 bands",
        "teacher",
        teacher=None,
        **WORDS,
        recipe="compact",
    ),
    Row("words-compact", "20 ms hops and 40 bands, QuickNet deep", ("compact",), ARABIC, COMPACT | {"teacher": "auto"}),
    *(
        _words(
            f"words-compact-seed{seed}",
            f"20 ms hops and 40 bands, QuickNet deep, seed {seed}",
            "compact",
            teacher=COMPACT_TEACHER,
            **COMPACT,
            seed=seed,
        )
        for seed in (1, 2)
    ),
    _words(
        "words-tiny",
        "20 ms hops and 40 bands, QuickNet tiny",
        "compact",
        teacher=COMPACT_TEACHER,
        **COMPACT,
        size="tiny",
    ),
    _words(
        "words-large-labels",
        "QuickNet large, from labels",
        "longer",
        teacher=None,
        **STANDARD,
        **QUICKNET,
        size="large",
    ),
    # With the teacher of the other rows: that of the recipe is larger.
    _words("words-best", "QuickNet large, best recipe", "longer", **WORDS, recipe="best"),
    *(
        _words(
            f"words-{backbone.replace('_', '-')}",
            f"{title} base",
            "backbones",
            teacher=None,
            **ABLATION,
            backbone=backbone,
        )
        for backbone, title in (
            ("birealnet", "Bi-Real Net"),
            ("real_to_binary", "Real-to-Binary Net"),
            ("binary_densenet", "BinaryDenseNet"),
        )
    ),
    _words(
        "words-quicknet", "QuickNet base, no teacher, grid heads", "backbones", "ablation", teacher=None, **ABLATION
    ),
    _words("words-soft-labels", "soft labels, grid heads", "ablation", **ABLATION),
    _words("words-features", "soft labels and features, grid heads", "ablation", **ABLATION, plan="features"),
    _words("words-two-step", "two steps, grid heads", "ablation", **ABLATION, plan="two-step"),
    *(
        _words(f"words-{head}", f"no teacher, {head} heads", "ablation", teacher=None, **ABLATION, head=head)
        for head in ("pooled", "strided", "auxiliary")
    ),
    *(
        Row(
            f"esc10-fold{fold}",
            f"QuickNet small, pooled heads, fold {fold}",
            ("esc10",),
            "esc10",
            {"task": "esc10", "fold": fold},
        )
        for fold in range(1, 6)
    ),
    *(
        Row(
            name,
            f"{title}, QuickNet {options['size']}",
            ("listening",),
            data,
            STANDARD | options,
            negatives=NEGATIVES,
            file="model_rejection.tflite",
        )
        for language, title, data, words, epochs in (
            (
                "english",
                "Google Speech Commands, a part, ten words, `unknown` and silence",
                "speech_commands_en",
                "12",
                {"small": 40, "medium": 40, "base": 40},
            ),
            (
                "arabic",
                "Arabic Speech Commands, 40 words and `unknown`",
                ARABIC,
                "all",
                {"small": 38, "medium": 70, "base": 100},
            ),
        )
        for name, options in (
            (f"listening-{language}", {"words": words, "size": "small", "epochs": epochs["small"]}),
            *(
                (
                    f"listening-{language}-{size}",
                    {"words": words, "size": size, "epochs": epochs[size], "bfloat16": True},
                )
                for size in ("medium", "base")
            ),
        )
    ),
    Row(
        "speech-commands-v0.02",
        "Google Speech Commands v0.02, 35 words, QuickNet large",
        ("other",),
        "speech_commands_v0.02",
        LARGE | {"teacher": "auto"},
    ),
]
ROWS = {row.name: row for row in _ROWS}


def chosen(names: list[str]) -> list[Row]:
    """The rows of these names, in this order, each once; the name of a group means all of its rows.

    Raises:
        ArgumentError: a name that is neither.
    """
    found: dict[str, Row] = {}
    for name in names:
        if name in GROUPS:
            found |= {row.name: row for row in in_group(name)}
        else:
            found[name] = ROWS[one_of("row", name, [*ROWS, *GROUPS])]
    return list(found.values())


def in_group(group: str) -> list[Row]:
    """The rows of a table."""
    return [row for row in _ROWS if group in row.groups]
