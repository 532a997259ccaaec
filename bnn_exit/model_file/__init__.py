"""The format of `model.tflite`: flatbuffer, operators and metadata. Everything that runs a model builds on it."""
