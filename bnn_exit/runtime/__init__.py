"""Runs model.tflite: the file reader, the backends and the session that users hold. NumPy is all it needs."""
