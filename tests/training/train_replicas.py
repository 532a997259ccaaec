"""A short training of a tiny network, run as a process of its own: `train_replicas.py SETTINGS`, settings in JSON.

strategy, devices (logical CPUs), optimizer, epochs, resume, and folder, which gets the checkpoints.
"""

import json
import sys
import warnings

settings = {"strategy": None, "devices": 1, "optimizer": "adam", "epochs": 3, "resume": False}
settings |= json.loads(sys.argv[1])

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from bnn_exit._keras import make_repeatable, set_seed, tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * settings["devices"])

from conftest import tone_split  # noqa: E402
from tiny import tiny_model  # noqa: E402

from audio_tasks.base import Task  # noqa: E402
from bnn_exit.audio.augment import AugmentConfig  # noqa: E402
from bnn_exit.config import FeatureConfig  # noqa: E402
from bnn_exit.training import TrainConfig, fit  # noqa: E402
from bnn_exit.training.distribution import Distribution  # noqa: E402

distribution = Distribution.start(settings["strategy"])
task = Task(
    name="tones",
    labels=("low", "middle", "high", "top"),
    train=tone_split("train", clips_per_class=10, seed=1),
    validation=tone_split("validation", clips_per_class=4, seed=2),
    test=tone_split("test", clips_per_class=2, seed=3),
    clip_samples=8000,
    features=FeatureConfig(),
    noise=(),
    licence="",
    attribution="",
)
make_repeatable()
set_seed(1)
with distribution.scope():
    model = tiny_model(num_classes=4, input_shape=task.input_shape, channels=(16, 16))
config = TrainConfig(
    epochs=settings["epochs"], batch_size=16, warmup_steps=2, learning_rate=1e-3, optimizer=settings["optimizer"]
)
fit(
    model,
    task,
    config=config,
    augment=AugmentConfig(),
    folder=settings["folder"],
    resume=settings["resume"],
    progress=False,
)
