"""From a trained network to `model.tflite`: the adaptive graph, LCE's conversion, the audit and the comparison."""
