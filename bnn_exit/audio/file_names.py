"""Suffixes of audio files: those that are read, and those that are reported when left out."""

from __future__ import annotations

READ = (".wav", ".flac", ".ogg")
"""Formats that `wav.read` takes; it looks at a file's first bytes, a folder is searched by name."""

_OTHER = """
.3gp .aac .ac3 .aif .aifc .aiff .amr .ape .au .awb .bwf .caf .gsm .m4a .mka .mp2 .mp3 .mp4 .mpga .nist
.oga .opus .ra .rf64 .sd2 .snd .sph .spx .voc .w64 .wave .weba .webm .wma .wv
"""
OTHER = tuple(_OTHER.split())
"""Endings of formats that hold sound and are not read, or not by this name."""

NOISE_FOLDER = "_background_noise_"
"""In a data folder, recordings of noise: no class and no clips."""

OF_SYSTEM = ("__MACOSX",)
"""Folders that a program adds beside the data; so do names that begin with a dot."""
