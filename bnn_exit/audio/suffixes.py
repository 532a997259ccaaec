"""How names of audio files end: of those that are read, and of those that are named when they are left out."""

from __future__ import annotations

READ = (".wav", ".flac", ".ogg")
"""Formats that `wav.read` takes; it looks at a file's first bytes, a folder is searched by name."""

OTHER = (".aac", ".aif", ".aiff", ".m4a", ".mp3", ".opus", ".webm", ".wma")
"""Formats that hold sound and are not read."""

NOISE_FOLDER = "_background_noise_"
"""In a data folder, recordings of noise: no class and no clips."""

OF_SYSTEM = ("__MACOSX",)
"""Folders that a program adds beside the data; so do names that begin with a dot."""
