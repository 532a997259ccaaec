"""Settings of the augmentation."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from bnn_exit.settings.base import Config
from bnn_exit.settings.features import FeatureConfig


@dataclass(frozen=True)
class AugmentConfig(Config):
    """How much a training clip is changed; larger values make the task harder and overfitting rarer; 0 is off.

    Attributes:
        time_shift_ms: largest shift to either side.
        wrap_shift: what a shift pushes out at one end comes in at the other. Otherwise silence comes in, as it does
            around a word; but a short sound in a long clip would be lost.
        noise_probability: share of clips that get background noise, where the task has any.
        snr_db: (lowest, highest) signal-to-noise ratio, measured as mean mel power of clip over that of noise.
        gain_db: largest change of level to either side.
        time_mask_frames: longest run of frames that is blanked (SpecAugment, Park et al. 2019, section 2).
        frequency_mask_mels: widest range of bands that is blanked.
        tempo_change: largest relative change of speed to either side, about the middle of the clip.
        frequency_warp: largest relative stretch of the mel axis to either side: voices of other throats (vocal tract
            length perturbation, Jaitly and Hinton 2013).
        mix_probability: share of clips that sound together with another one of the batch, their labels mixed alike.
        attenuation_probability: share of clips that become quieter with all that is in them, as far from a microphone
            or at a low recording level. Needed to recognise clips quieter than those of the training split.
        attenuation_db: largest attenuation; it is uniform from 0 to this, in dB.
        place_anywhere: a word goes to any place at which it lies whole in the clip, in place of a shift by
            `time_shift_ms`: in a stream it comes at any place of a window. Needs negatives.
        partial_share: share of the cuts of negatives that hold at most a third of a word instead.
        background_probability: share of clips with a cut of the negatives behind them, where the task has any.
        background_snr_db: (lowest, highest) ratio of clip to background, in dB, measured as mean mel power of the
            frames of each that are within 20 dB of its loudest.
        reverberation_probability: share of clips that sound as in a room.
        rt60_s: (shortest, longest) time in which the sound of a room falls by 60 dB, in seconds.
        filter_db: largest gain or cut, in dB, of a filter that differs from clip to clip and changes smoothly over the
            bands: other microphones and rooms (FilterAugment, Nam et al. 2022, section 2, the linear type).
    """

    time_shift_ms: float = 100.0
    wrap_shift: bool = False
    noise_probability: float = 0.4
    snr_db: tuple[float, float] = (0.0, 30.0)
    gain_db: float = 8.0
    time_mask_frames: int = 10
    frequency_mask_mels: int = 4
    tempo_change: float = 0.15
    frequency_warp: float = 0.1
    mix_probability: float = 0.0
    attenuation_probability: float = 0.0
    attenuation_db: float = 40.0
    place_anywhere: bool = False
    partial_share: float = 0.0
    background_probability: float = 0.0
    background_snr_db: tuple[float, float] = (0.0, 20.0)
    reverberation_probability: float = 0.0
    rt60_s: tuple[float, float] = (0.1, 0.6)
    filter_db: float = 0.0

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(self.time_shift_ms >= 0, "time_shift_ms", "at least 0")
        self._require(0 <= self.noise_probability <= 1, "noise_probability", "from 0 to 1")
        self._require(_is_range(self.snr_db), "snr_db", "two finite numbers, (lowest, highest)")
        self._require(self.gain_db >= 0, "gain_db", "at least 0")
        self._require(self.time_mask_frames >= 0, "time_mask_frames", "at least 0")
        self._require(self.frequency_mask_mels >= 0, "frequency_mask_mels", "at least 0")
        self._require(0 <= self.tempo_change < 1, "tempo_change", "at least 0 and below 1")
        self._require(0 <= self.frequency_warp < 1, "frequency_warp", "at least 0 and below 1")
        self._require(0 <= self.mix_probability <= 1, "mix_probability", "from 0 to 1")
        self._require(0 <= self.attenuation_probability <= 1, "attenuation_probability", "from 0 to 1")
        self._require(self.attenuation_db >= 0, "attenuation_db", "at least 0")
        self._require(isinstance(self.place_anywhere, bool), "place_anywhere", "true or false")
        for name in ("partial_share", "background_probability", "reverberation_probability"):
            self._require(0 <= getattr(self, name) <= 1, name, "from 0 to 1")
        self._require(_is_range(self.background_snr_db), "background_snr_db", "two finite numbers, (lowest, highest)")
        seconds = _is_range(self.rt60_s) and self.rt60_s[0] >= 0.05 and self.rt60_s[1] <= 2
        self._require(seconds, "rt60_s", "two numbers from 0.05 to 2, (shortest, longest)")
        self._require(0 <= self.filter_db <= 40, "filter_db", "from 0 to 40")

    def scaled_to(self, features: FeatureConfig) -> AugmentConfig:
        """The same masks in milliseconds and hertz, for other features than the default ones."""
        usual = FeatureConfig()
        return dataclasses.replace(
            self,
            time_mask_frames=round(self.time_mask_frames * usual.hop_ms / features.hop_ms),
            frequency_mask_mels=round(self.frequency_mask_mels * features.num_mels / usual.num_mels),
        )


def _is_range(value: object) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(type(end) in (int, float) and math.isfinite(end) for end in value) and value[0] <= value[1]


UNCHANGED = AugmentConfig(
    time_shift_ms=0,
    noise_probability=0,
    gain_db=0,
    time_mask_frames=0,
    frequency_mask_mels=0,
    tempo_change=0,
    frequency_warp=0,
)
"""No augmentation: clips as they were recorded."""
