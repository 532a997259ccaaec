"""Audio in: files to waveforms (`wav`) and waveforms to log-mel features (`logmel`), with NumPy alone."""
