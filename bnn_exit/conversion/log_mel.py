"""The log-mel specification in a TensorFlow graph, equal to `logmel.log_mel` to 1e-4, made of ops that TFLite has."""

from __future__ import annotations

from bnn_exit._keras import tf
from bnn_exit.audio import logmel
from bnn_exit.settings.features import FeatureConfig


def log_mel(waveform: tf.Tensor, features: FeatureConfig) -> tf.Tensor:
    """Log-mel `[batch, frames, mels]` of float32 waveforms `[batch, samples]` in [-1, 1]."""
    spectrum = tf.signal.stft(
        waveform,
        frame_length=features.window_samples,
        frame_step=features.hop_samples,
        fft_length=features.fft_size,
        window_fn=lambda _, dtype: tf.constant(logmel.window(features), dtype),
    )
    power = tf.square(tf.abs(spectrum))
    return tf.math.log(tf.matmul(power, tf.constant(logmel.mel_matrix(features))) + features.log_offset)
