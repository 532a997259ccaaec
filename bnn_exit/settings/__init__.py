"""Every configuration class and the recipes. None of it needs TensorFlow."""
