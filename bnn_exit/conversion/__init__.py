"""From a trained network to `model.tflite`: graph, converter, audit and parity."""
