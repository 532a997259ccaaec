"""The commands: their arguments, what they print, and what they call. Nothing imports this package but the modules
that `python -m` runs.
"""
