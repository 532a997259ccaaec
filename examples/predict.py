"""Classify a clip with a model of the package. NumPy is enough.

python examples/predict.py                                   # rain that is made here
python examples/predict.py clip.wav --model arabic-speech-commands-small
python examples/predict.py clip.wav --model runs/words/model.tflite --operating-point fast
"""

from __future__ import annotations

import argparse

import numpy as np

import bnn_exit
from bnn_exit.audio import wav


def made_up_rain(samples: int) -> np.ndarray:
    """White noise, which sounds like rain: float32 [samples]."""
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def main() -> None:
    """Print the label, its probability, the exit and the score."""
    parser = argparse.ArgumentParser(description="Classify a clip with a model of the package.")
    parser.add_argument("clip", nargs="?", help="a WAV file (default: rain that is made here)")
    parser.add_argument("--model", default="esc10-small", help="a model of the package, or a model.tflite")
    parser.add_argument("--operating-point", default="balanced")
    options = parser.parse_args()

    session = bnn_exit.load(options.model)
    if options.clip is None:
        waveform = made_up_rain(session.metadata.clip_samples)
    else:
        # Reads any sample rate and resamples to that of the model.
        waveform = wav.read(options.clip, sample_rate_hz=session.metadata.features.sample_rate_hz)

    prediction = session.predict(waveform, operating_point=options.operating_point)
    print(f"label        {prediction.label}")
    print(f"probability  {prediction.probabilities.max():.3f}")
    print(f"exit         {prediction.exit_index + 1} of {session.exits}")
    print(f"score        {prediction.score:.3f}")  # the uncertainty of that exit: low is certain


if __name__ == "__main__":
    main()
