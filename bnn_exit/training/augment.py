"""Random changes of a training clip's log-mel, in the graph and stateless: a function of seed, epoch and clip."""

from __future__ import annotations

import dataclasses

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.training import placing
from bnn_exit.training.rooms import room_energies

_BANK_SIZE = 1024
_ROOMS = 64
# Where the gain of a filter is drawn; between them it is linear. The paper draws three to six.
_FILTER_POINTS = 6
# Settings that came later, by the one that turns them on.
_LATER = {
    "attenuation_probability": ("attenuation_db",),
    "place_anywhere": (),
    "partial_share": (),
    "background_probability": ("background_snr_db",),
    "reverberation_probability": ("rt60_s",),
    "filter_db": (),
}


def _described(config: AugmentConfig) -> str:
    """The settings, without later ones that are off, so that caches of earlier runs stay valid."""
    off = {name for switch, others in _LATER.items() if not getattr(config, switch) for name in (switch, *others)}
    names = [field.name for field in dataclasses.fields(config) if field.name not in off]
    return f"AugmentConfig({', '.join(f'{name}={getattr(config, name)!r}' for name in names)})"


class Augmenter:
    """Changes log-mel clips `[frames, mels]` at random.

    Args:
        config: how much.
        features: the log-mel specification, for units.
        frames, mels: shape of a clip.
        fill: `[mels]`, the mean of each band, which masked parts get.
        noise: log-mel `[noise_frames, mels]` of background noise, longer than a clip, or None.
        extents: int `[clips, 2]`, first frame of each clip's word and the one after its last; None if not known. A clip
            in which they are the first and last frame is not moved.
        seed: of the whole run.

    Attributes:
        identity: determines the changes: where it is equal, clips are changed alike.
    """

    def __init__(
        self,
        config: AugmentConfig,
        *,
        features: FeatureConfig,
        frames: int,
        mels: int,
        fill: np.ndarray,
        noise: np.ndarray | None = None,
        extents: np.ndarray | None = None,
        seed: int = 0,
    ) -> None:
        self._config, self._frames, self._seed = config, frames, seed
        self.identity = f"{_described(config)} {features} seed={seed}"
        self._silence = float(np.log(features.log_offset))
        self._shift_frames = round(config.time_shift_ms / 1000 * features.sample_rate_hz / features.hop_samples)
        self._fill = tf.constant(fill, tf.float32)
        use_noise = noise is not None and len(noise) > frames and config.noise_probability > 0
        self._noise: tf.Tensor | None = tf.constant(noise, tf.float32) if use_noise else None
        time_masks, mel_masks = _mask_banks(frames, mels, config, seed)
        self._time_masks, self._mel_masks = tf.constant(time_masks), tf.constant(mel_masks)
        use_extents = extents is not None and config.place_anywhere
        self._extents: tf.Tensor | None = tf.constant(extents, tf.int32) if use_extents else None
        self._rooms: tf.Tensor | None = None
        if config.reverberation_probability:
            hop_s = features.hop_samples / features.sample_rate_hz
            energies = room_energies(rooms=_ROOMS, rt60_s=config.rt60_s, hop_s=hop_s, seed=seed)
            self._rooms = tf.constant(_delays(energies, frames))

    def __call__(
        self,
        log_mel: tf.Tensor,
        clip: tf.Tensor,
        epoch: tf.Tensor,
        background: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """A changed copy of `log_mel` `[frames, mels]`; `clip` (its index) and `epoch` are int scalars.

        `background` is what may sound behind it: log-mel `[frames, mels]` and its level, as of `Background.behind`.
        """
        config = self._config
        # This is the only random draw, so the changes depend on (seed, epoch, clip) alone.
        key = tf.random.experimental.stateless_fold_in(
            tf.stack([tf.cast(self._seed, tf.int64), tf.cast(epoch, tf.int64)]), tf.cast(clip, tf.int64)
        )
        # Drawn in sequence: one more change leaves those before it as they are.
        chance = tf.unstack(tf.random.stateless_uniform([11], key))
        later = tf.unstack(tf.random.stateless_uniform([4], tf.random.experimental.stateless_fold_in(key, 1)))
        log_mel = _stretched(log_mel, chance[7], reach=config.tempo_change, centre=0.5)
        log_mel = tf.transpose(_stretched(tf.transpose(log_mel), chance[8], reach=config.frequency_warp, centre=0.0))
        if self._rooms is not None:
            in_room = self._reverberated(log_mel, self._rooms, later[0] / config.reverberation_probability)
            log_mel = tf.where(later[0] < config.reverberation_probability, in_room, log_mel)
        if self._extents is None:
            log_mel = self._shift(log_mel, chance[0])
        else:
            extent = placing.stretched(self._extents[clip], chance[7], frames=self._frames, reach=config.tempo_change)
            log_mel = placing.place(log_mel, extent, chance[0])
        log_mel += (2 * chance[1] - 1) * config.gain_db * _NATS_PER_DECIBEL
        if config.filter_db:
            log_mel += self._filter(tf.random.experimental.stateless_fold_in(key, 2))
        if background is not None and config.background_probability:
            mixed = self._with_background(log_mel, *background, chance=later[2])
            log_mel = tf.where(later[1] < config.background_probability, mixed, log_mel)
        if self._noise is not None:
            noisy = self._add_noise(log_mel, self._noise, chance[2], chance[3])
            log_mel = tf.where(chance[4] < config.noise_probability, noisy, log_mel)
        keep_frames = self._time_masks[tf.cast(chance[5] * _BANK_SIZE, tf.int32)]
        keep_mels = self._mel_masks[tf.cast(chance[6] * _BANK_SIZE, tf.int32)]
        log_mel = tf.where(keep_frames[:, None] & keep_mels[None, :], log_mel, self._fill)
        if not config.attenuation_probability:
            return log_mel
        quieter = self._attenuated(log_mel, chance[10] * config.attenuation_db)
        return tf.where(chance[9] < config.attenuation_probability, quieter, log_mel)

    def _attenuated(self, log_mel: tf.Tensor, decibels: tf.Tensor) -> tf.Tensor:
        """The log-mel of the same waveform, attenuated: the offset of the features stays.

        ln(g p + offset), where log_mel is ln(p + offset); so it is ln(g exp(log_mel) + (1 - g) offset).
        """
        log_gain = -decibels * _NATS_PER_DECIBEL
        offset = self._silence + tf.math.log(-tf.math.expm1(log_gain))
        return tf.reduce_logsumexp(tf.stack([log_mel + log_gain, tf.fill(tf.shape(log_mel), offset)]), axis=0)

    def _reverberated(self, log_mel: tf.Tensor, rooms: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        """The clip as in one of the rooms.

        Energies convolve: late reflections are a noise whose energy falls exponentially (Polack 1988). So the power of
        a band is, on average, its power before, spread over the frames as the energy of the room's response is. Phases
        are ignored.
        """
        room = rooms[tf.minimum(tf.cast(chance * _ROOMS, tf.int32), _ROOMS - 1)]
        offset = tf.exp(self._silence)
        power = tf.nn.relu(tf.exp(log_mel) - offset)
        return tf.math.log(tf.matmul(room, power) + offset)

    def _filter(self, key: tf.Tensor) -> tf.Tensor:
        """The gain of each band: `[mels]`, linear between points at random bands, the first and last among them."""
        chance = tf.random.stateless_uniform([2 * _FILTER_POINTS - 2], key)
        gains = (2 * chance[:_FILTER_POINTS] - 1) * self._config.filter_db * _NATS_PER_DECIBEL
        points = tf.concat([[0.0], tf.sort(chance[_FILTER_POINTS:]), [1.0]], axis=0)
        place = tf.linspace(0.0, 1.0, self._fill.shape[0])
        after = tf.clip_by_value(tf.searchsorted(points, place, side="right"), 1, _FILTER_POINTS - 1)
        start, end = tf.gather(points, after - 1), tf.gather(points, after)
        share = tf.math.divide_no_nan(place - start, end - start)
        return (1 - share) * tf.gather(gains, after - 1) + share * tf.gather(gains, after)

    def _with_background(
        self, log_mel: tf.Tensor, background: tf.Tensor, level: tf.Tensor, *, chance: tf.Tensor
    ) -> tf.Tensor:
        lowest, highest = self._config.background_snr_db
        ratio_db = lowest + (highest - lowest) * chance
        gain = _loud_level(log_mel) - level - ratio_db * _NATS_PER_DECIBEL
        return tf.reduce_logsumexp(tf.stack([log_mel, background + gain]), axis=0)

    def _shift(self, log_mel: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        start = tf.cast(chance * (2 * self._shift_frames + 1), tf.int32)
        if self._config.wrap_shift:
            return tf.roll(log_mel, start - self._shift_frames, axis=0)
        padding = [[self._shift_frames, self._shift_frames], [0, 0]]
        padded = tf.pad(log_mel, padding, constant_values=self._silence)
        return padded[start : start + self._frames]

    def _add_noise(self, log_mel: tf.Tensor, noise: tf.Tensor, where: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """Mel powers of independent sounds add up: |x + n|^2 is |x|^2 + |n|^2 on average."""
        start = tf.cast(where * tf.cast(tf.shape(noise)[0] - self._frames, tf.float32), tf.int32)
        noise = noise[start : start + self._frames]
        lowest, highest = self._config.snr_db
        ratio_db = lowest + (highest - lowest) * level
        gain = _log_mean_power(log_mel) - _log_mean_power(noise) - ratio_db * _NATS_PER_DECIBEL
        return tf.reduce_logsumexp(tf.stack([log_mel, noise + gain]), axis=0)


def _stretched(rows: tf.Tensor, chance: tf.Tensor, *, reach: float, centre: float) -> tf.Tensor:
    """`rows` at places further apart or closer by up to `reach`, read between rows; the row at `centre` stays.

    `centre` is a share of the rows; beyond the first and last row, these go on.
    """
    if not reach:
        return rows
    last = rows.shape[0] - 1
    distance = tf.range(last + 1, dtype=tf.float32) - centre * last
    place = tf.clip_by_value(centre * last + distance * (1 + (2 * chance - 1) * reach), 0.0, float(last))
    before = tf.cast(place, tf.int32)
    share = (place - tf.cast(before, tf.float32))[:, None]
    return (1 - share) * tf.gather(rows, before) + share * tf.gather(rows, tf.minimum(before + 1, last))


_NATS_PER_DECIBEL = float(np.log(10) / 10)


def _log_mean_power(log_mel: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(log_mel) - tf.math.log(tf.cast(tf.size(log_mel), tf.float32))


def _loud_level(log_mel: tf.Tensor) -> tf.Tensor:
    """As `background.loud_level`."""
    level = tf.reduce_logsumexp(log_mel, axis=1)
    loud = level >= tf.reduce_max(level) - 20 * _NATS_PER_DECIBEL
    mean = tf.reduce_logsumexp(tf.where(loud, level, -np.inf))
    return mean - tf.math.log(tf.reduce_sum(tf.cast(loud, tf.float32)))


def _delays(energies: np.ndarray, frames: int) -> np.ndarray:
    """Matrices `[rooms, frames, frames]` that convolve `frames` powers with the energies `[rooms, steps]`."""
    padded = np.zeros((len(energies), 2 * frames - 1), np.float32)
    steps = min(frames, energies.shape[1])
    padded[:, frames - 1 : frames - 1 + steps] = energies[:, :steps]
    later, earlier = np.ogrid[:frames, :frames]
    return padded[:, frames - 1 + later - earlier]


def _mask_banks(frames: int, mels: int, config: AugmentConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks to choose from, True where a clip is kept: bool `[bank, frames]` and `[bank, mels]`.

    tensorflow-io's masks draw from a stateful generator, so a run that is resumed would get others. Drawn once in a
    graph of their own, with its seed, and chosen from without state, they are the same in every run.
    """
    import tensorflow_io as tfio

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        tf.random.set_seed(seed)

        # One mask at a time: parallel iterations would take their numbers from the generator in any order.
        def draw(mask_one: object) -> tf.Tensor:
            return tf.map_fn(mask_one, tf.range(_BANK_SIZE), fn_output_signature=tf.float32, parallel_iterations=1)

        time_masks = draw(lambda _: tfio.audio.time_mask(tf.ones([frames, 1]), max(1, config.time_mask_frames))[:, 0])
        mel_masks = draw(lambda _: tfio.audio.freq_mask(tf.ones([1, mels]), max(1, config.frequency_mask_mels))[0])
        with v1.Session() as session:
            time_values, mel_values = session.run([time_masks, mel_masks])
    return time_values > 0, mel_values > 0
