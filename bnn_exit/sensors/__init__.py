"""Windows of sensors and spectra: what counts as one, and files of them. `audio` is the same for sound."""
