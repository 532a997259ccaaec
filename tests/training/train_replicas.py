"""Short trainings of a tiny network, in a process of their own under a strategy: `train_replicas.py STRATEGY JOB...`.

A job is JSON: optimizer, epochs, batch_size, weight_decay, resume, folder, which gets the checkpoints,
or what went wrong, and copy_of, the folder of a training to go on with.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

from conftest import tone_split
from tiny import tiny_model

from audio_tasks.base import Task
from bnn_exit._keras import make_repeatable, set_seed, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.training import TrainConfig, fit
from bnn_exit.training.distribution import Distribution


def tones():
    """Few clips, but more than full batches, so that some are left out."""
    clips = {"train": 10, "validation": 4, "test": 2}
    splits = {name: tone_split(name, clips_per_class=count, seed=7) for name, count in clips.items()}
    about = {"licence": "CC0", "attribution": "made by the tests", "noise": (), "clip_samples": 8000}
    return Task(name="tones", labels=("low", "middle", "high", "top"), features=FeatureConfig(), **about, **splits)


def train(
    distribution, *, folder, copy_of=None, optimizer="adam", epochs=3, batch_size=16, weight_decay=0.0, resume=False
):
    """One training; its checkpoints are in `folder`, which may begin as a copy of another's."""
    if copy_of is not None and distribution.writes:
        shutil.copytree(copy_of, folder)
    distribution.wait()
    task = tones()
    set_seed(1)
    with distribution.scope():
        model = tiny_model(num_classes=4, input_shape=task.input_shape, channels=(16, 16))
    config = TrainConfig(epochs=epochs, batch_size=batch_size, warmup_steps=2, learning_rate=1e-3, optimizer=optimizer)
    fit(model, task, config=config, augment=AugmentConfig(), folder=folder, resume=resume, progress=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    started = Distribution.start(sys.argv[1])
    make_repeatable()
    for job in map(json.loads, sys.argv[2:]):
        try:
            train(started, **job)
        except ArgumentError as error:
            (Path(job["folder"]) / "error").write_text(str(error))
    print(f"done{started}")
