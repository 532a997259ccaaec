"""`bnn_exit.train` for a tiny network on two logical CPUs, in a process of its own: `train_command.py ARGUMENTS...`.

Each argument is a JSON list of arguments of the command; `--task odd` has one training clip less.
"""

import dataclasses
import json
import sys
import warnings

from tiny import tiny_build
from training.train_replicas import tones

import audio_tasks
from bnn_exit._keras import tf
from bnn_exit.commands import train
from bnn_exit.models import multi_exit
from distill import trainer


def load(name, **_):
    task = tones()
    if name != "odd":
        return task
    fewer = dataclasses.replace(task.train, ids=task.train.ids[1:], labels=task.train.labels[1:])
    return dataclasses.replace(task, train=fewer)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    audio_tasks.TASKS.update(tones=None, odd=None)
    audio_tasks.load, trainer.build, multi_exit.build = load, tiny_build, tiny_build
    for arguments in map(json.loads, sys.argv[1:]):
        print("status", train.main(arguments))
