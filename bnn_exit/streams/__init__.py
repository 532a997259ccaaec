"""Recordings of any length with labelled events: what was said, what was detected, and how the two are counted."""
