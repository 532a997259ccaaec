"""The NumPy interpreter: needs nothing else, and judges the other backends."""
