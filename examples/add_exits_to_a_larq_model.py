"""Give exits to a Larq model that was made elsewhere: add, train, calibrate, export, predict.

    pip install '.[train]'
    python examples/add_exits_to_a_larq_model.py

The clips are noisy tones of four pitches, made here. `audio_tasks.load` gives a task of recordings in the same form.
"""

from __future__ import annotations

import argparse

import numpy as np

import bnn_exit
from audio_tasks import Split, Task
from bnn_exit._keras import keras, larq  # before TensorFlow: it selects Keras 2, which Larq needs

PITCHES_HZ = {"low": 300, "middle": 600, "high": 1200, "top": 2400}
RATE_HZ, SAMPLES = 16000, 8000


def tones(name: str, *, clips_per_class: int, seed: int) -> Split:
    """A split of half-second tones: clips, labels, and a name for each clip."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(PITCHES_HZ)), clips_per_class).astype(np.int32)
    pitches = np.array(list(PITCHES_HZ.values()))[labels] * rng.uniform(0.9, 1.1, len(labels))
    clips = 0.3 * np.sin(2 * np.pi * pitches[:, None] * np.arange(SAMPLES) / RATE_HZ)
    clips = (clips + rng.normal(0, 0.1, clips.shape)).astype(np.float32)
    return Split(
        name, tuple(f"{name}_{index}" for index in range(len(labels))), labels, None, lambda index: clips[index]
    )


def tone_task(clips_per_class: int) -> Task:
    """Labelled clips in three splits."""
    return Task(
        name="tones",
        labels=tuple(PITCHES_HZ),
        train=tones("train", clips_per_class=clips_per_class, seed=1),
        validation=tones("validation", clips_per_class=25, seed=2),
        test=tones("test", clips_per_class=25, seed=3),
        clip_samples=SAMPLES,
        features=bnn_exit.FeatureConfig(sample_rate_hz=RATE_HZ),
        licence="none: generated data",
        attribution="generated tones",
    )


def larq_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """A plain Larq classifier. Nothing in it knows of exits."""
    binary = dict(input_quantizer="approx_sign", kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    layers = [
        keras.layers.BatchNormalization(momentum=0.9, input_shape=input_shape),
        keras.layers.Conv2D(32, 5, strides=4, padding="same", use_bias=False),
    ]
    for name in ("block_1", "block_2", "block_3"):
        layers += [
            keras.layers.BatchNormalization(momentum=0.9),
            larq.layers.QuantConv2D(64, 3, padding="same", pad_values=1.0, use_bias=False, name=name, **binary),
        ]
    layers += [
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(num_classes, activation="softmax"),
    ]
    return keras.Sequential(layers)


def main() -> None:
    """Print where the model can be cut, what each exit costs, its accuracy on test, and a prediction of the file."""
    parser = argparse.ArgumentParser(description="Give exits to a Larq model.")
    parser.add_argument("--out", default="larq_with_exits.tflite", help="the model file to write")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--clips", type=int, default=100, help="clips of each class to train on")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    task = tone_task(options.clips)
    stock = larq_model(task.input_shape, task.num_classes)
    print("cut points  ", *bnn_exit.cut_points(stock))

    # The new exit comes after block_1. The classifier of the model is the last exit.
    network = bnn_exit.add_exits(stock, at=["block_1"])
    print("ops         ", *(f"{cost.ops:.0f}" for cost in network.costs()))

    config = bnn_exit.TrainConfig(epochs=options.epochs, batch_size=16, warmup_steps=10)
    bnn_exit.fit(network, task, config=config, progress=False)
    points = bnn_exit.calibrate(network, task)
    bnn_exit.export(network, options.out, task=task, operating_points=points)

    # From here on TensorFlow is not needed: this is what a board does.
    session = bnn_exit.load(options.out)
    clips = [task.test.waveform(index) for index in range(len(task.test))]
    predictions = [session.predict(clip, operating_point="balanced") for clip in clips]
    correct = np.array([prediction.label_index for prediction in predictions]) == task.test.labels
    exits = np.bincount([prediction.exit_index for prediction in predictions], minlength=session.exits)
    print(f"accuracy     {correct.mean():.3f}")
    print("clips        " + " ".join(map(str, exits)))  # that left at each exit
    print(f"first clip   {predictions[0].label} {predictions[0].probabilities.max():.3f}")


if __name__ == "__main__":
    main()
