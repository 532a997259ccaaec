import dataclasses
import json

import pytest

from audio_tasks import TASKS
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.settings import recipes
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.training import TrainConfig

_WITH_NEGATIVES = (
    *("time_shift_ms", "partial_share", "noise_probability", "background_probability", "background_snr_db"),
    *("reverberation_probability", "frequency_warp", "filter_db"),
)


def load(source, *, task):
    return recipes.load(source, task=task, tasks=TASKS)


def written(tmp_path, values):
    path = tmp_path / "mine.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return str(path)


@pytest.mark.parametrize("name", recipes.shipped())
@pytest.mark.parametrize("task", TASKS)
def test_every_recipe_can_be_read_for_every_task_and_back(name, task):
    recipe = load(name, task=task)
    assert recipes.Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.about.endswith(".")


def test_longer_recipes_train_longer_and_larger():
    fast, standard, best = (load(name, task="speech_commands") for name in ("fast", "standard", "best"))
    assert fast.training.epochs < standard.training.epochs < best.training.epochs
    assert [recipe.model.size for recipe in (fast, standard, best)] == ["small", "base", "large"]
    assert [recipe.teacher.size for recipe in (fast, standard, best)] == ["small", "base", "large"]


def test_the_compact_recipe_halves_the_frames_of_words_and_has_a_teacher():
    compact, standard = (load(name, task="speech_commands") for name in ("compact", "standard"))
    samples = 16000
    assert (standard.features.num_frames(samples), standard.features.num_mels) == (98, 64)
    assert (compact.features.num_frames(samples), compact.features.num_mels) == (49, 40)
    assert compact.model == dataclasses.replace(standard.model, backbone="quicknet", size="deep")
    assert (compact.training, compact.teacher) == (standard.training, standard.teacher)
    assert standard.distillation is None
    assert compact.distillation == {"teachers": ["auto"], "temperature": 2.0, "views": 30}
    # As long a time is masked.
    assert (standard.augment.time_mask_frames, standard.features.hop_ms) == (10, 10.0)
    assert (compact.augment.time_mask_frames, compact.features.hop_ms) == (5, 20.0)
    assert dataclasses.replace(compact.augment, time_mask_frames=10) == standard.augment
    # The other tasks have sections of their own, which say nothing of the bands.
    compact, standard = (load(name, task="esc10") for name in ("compact", "standard"))
    assert compact.features == dataclasses.replace(standard.features, num_mels=40)
    assert (compact.model, compact.training, compact.distillation) == (standard.model, standard.training, None)


def test_a_recipe_changes_single_settings_of_the_one_that_it_is_like(tmp_path):
    own = {"like": "fast", "default": {"training": {"epochs": 3}}, "esc10": {"model": {"head": "grid"}}}
    path, fast = written(tmp_path, own), load("fast", task="speech_commands")
    epochs = dataclasses.replace(fast.training, epochs=3)
    assert load(path, task="speech_commands") == dataclasses.replace(fast, about="", training=epochs)
    sounds, usual = load(path, task="esc10"), load("fast", task="esc10")
    assert sounds == dataclasses.replace(usual, about="", model=dataclasses.replace(usual.model, head="grid"))
    # Through a recipe of the package that is like another one.
    path = written(tmp_path, {"like": "compact", "default": {"model": {"size": "small"}}})
    found, compact = (load(name, task="speech_commands") for name in (path, "compact"))
    assert found == dataclasses.replace(compact, about="", model=dataclasses.replace(compact.model, size="small"))


@pytest.mark.parametrize("task", ["speech_commands", "esc10", "synthetic"])
def test_longer_recipes_train_their_teachers_longer(task):
    found = [load(name, task=task) for name in ("fast", "standard", "best")]
    epochs = [recipe.teacher.training.epochs for recipe in found]
    assert epochs == {"speech_commands": [12, 40, 60], "esc10": [30, 60, 120], "synthetic": [12, 20, 60]}[task]
    # Of few clips the warm-up must not be most of the training: they take smaller batches and a shorter one.
    few = task != "speech_commands"
    expected = [(16, 100) if few else (32, 200)] * 3
    assert [(recipe.teacher.training.batch_size, recipe.teacher.training.warmup_steps) for recipe in found] == expected


def test_a_task_changes_single_settings(tmp_path):
    path = written(
        tmp_path,
        {
            "default": {"training": {"epochs": 7, "seed": 3}, "distillation": {"teachers": ["auto"]}},
            "esc10": {"training": {"epochs": 9}, "distillation": None, "teacher": {"training": {"epochs": 2}}},
            "esc50": "esc10",
        },
    )
    assert load(path, task="folder").training == TrainConfig(epochs=7, seed=3)
    changed = load(path, task="esc50")
    assert changed.training == TrainConfig(epochs=9, seed=3)
    assert changed.distillation is None
    assert changed.teacher.training.epochs == 2
    assert changed == load(path, task="esc10")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ("{", DataError, "is no JSON"),
        ([], ArgumentError, 'must be of the form {"default"'),
        ({"like": "fats"}, ArgumentError, "like is 'fats', but must be one of best, compact, .*did you mean 'fast'"),
        ({"like": ["fast"]}, ArgumentError, r'like is \["fast"\], but must be the name of a recipe of the package'),
        ({"default": {"trainning": {}}}, ArgumentError, "trainning.*did you mean 'training'"),
        ({"default": {"training": {"epochs": 0}}}, ArgumentError, "epochs is 0, but must be at least 1"),
        ({"default": {"model": 5}}, ArgumentError, 'model is 5, but must be settings such as {"backbone": "quicknet"}'),
        (
            {"default": {"training": [1]}},
            ArgumentError,
            r'training is \[1\], but must be settings such as {"epochs": 40}',
        ),
        ({"default": {"features": None}}, ArgumentError, "features is null, but must be settings such as {"),
        ({"default": {"augment": "x"}}, ArgumentError, 'augment is "x", but must be settings such as {'),
        ({"default": {"teacher": 5}}, ArgumentError, 'teacher is 5, but must be settings such as {"size": "base"}'),
        ({"default": {"teacher": {"training": 5}}}, ArgumentError, "training is 5, but must be settings such as {"),
        ({"default": {"training": {"exit_weights": 5}}}, ArgumentError, "exit_weights is 5, but must be a list of num"),
        (
            {"default": {}, "esc11": {}},
            ArgumentError,
            "section is 'esc11', but must be one of about, .*default, .*'esc10'",
        ),
        *(
            ({"default": {"augment": {"snr_db": value}}}, ArgumentError, "snr_db is .*, but must be two finite numbers")
            for value in (5, ["a", "b"], [1, 2, 3], [9, 3], [True, 2], None)
        ),
        ({"default": {"augment": {"snr_db": [0, float("inf")]}}}, DataError, "is no JSON .*Infinity"),
        ({"default": {}, "about": 5}, ArgumentError, "about is 5, but must be text"),
        ({"default": {"distillation": 5}}, ArgumentError, "distillation is 5, but must be null or settings such as {"),
        ({"default": {"distillation": "auto"}}, ArgumentError, 'distillation is "auto", but must be null or settings'),
        ({"default": {"distillation": {"teachers": 5}}}, ArgumentError, "teachers is 5, but must be a list of paths"),
        ({"default": {"distillation": {"teachers": [5]}}}, ArgumentError, r"teachers is \[5\], but must be a list of"),
        (
            {"default": {"distillation": {"plan": 5}}},
            ArgumentError,
            "plan is 5, but must be the name of a plan or FILE",
        ),
        ({"default": {}, "esc10": 3}, ArgumentError, "the section 'esc10' is 3, but must be settings"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_told(tmp_path, values, error, message):
    with pytest.raises(error, match=message):
        load(written(tmp_path, values), task="esc10")


def test_an_unknown_recipe_is_told_with_the_nearest():
    with pytest.raises(ArgumentError, match=r"--recipe is 'fats', but must be one of .*; did you mean 'fast'"):
        load("fats", task="esc10")
    with pytest.raises(DataError, match=r"'none.json' cannot be read \(No such file or directory\)"):
        load("none.json", task="esc10")


# ---- with negatives


@pytest.mark.parametrize("name", recipes.shipped())
@pytest.mark.parametrize("task", ["speech_commands", "esc10"])
def test_negatives_turn_on_what_makes_use_of_them(name, task):
    without = recipes.load(name, task=task, tasks=TASKS)
    found = recipes.load(name, task=task, tasks=TASKS, negatives=True)
    assert (without.augment.partial_share, without.augment.background_probability) == (0, 0)
    augment = found.augment
    assert (augment.partial_share, augment.background_probability, augment.background_snr_db) == (
        0.25,
        0.6,
        (5.0, 25.0),
    )
    assert augment.reverberation_probability > 0 and augment.filter_db > 0
    # All else is what it is without them, but for the backbone, which is the one that streams were measured with.
    off = {name: getattr(without.augment, name) for name in _WITH_NEGATIVES}
    assert found.model.backbone == "quicknet"
    assert dataclasses.replace(found, augment=dataclasses.replace(augment, **off), model=without.model) == without


def test_tasks_that_were_measured_with_quicknet_keep_it():
    backbones = {task: load("standard", task=task).model.backbone for task in TASKS}
    assert {task for task, backbone in backbones.items() if backbone == "glance"} == {
        "speech_commands",
        "folder",
        "timeseries",
    }
    assert {load(name, task="speech_commands").model.backbone for name in ("fast", "compact", "best")} == {"quicknet"}


def test_a_size_of_another_backbone_is_named_with_it():
    message = "size is 'deep', but glance has small, base, large, micro: choose one of them, or the backbone quicknet"
    with pytest.raises(ArgumentError, match=message):
        ModelConfig(backbone="glance", size="deep")


def test_a_section_for_negatives_that_is_no_settings_is_named(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"default": {}, "with_negatives": "esc10"}')
    assert recipes.load(str(path), task="synthetic", tasks=TASKS) == recipes.Recipe()
    with pytest.raises(ArgumentError, match="the section 'with_negatives' is \"esc10\", but must be settings"):
        recipes.load(str(path), task="synthetic", tasks=TASKS, negatives=True)
