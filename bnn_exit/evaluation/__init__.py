"""Accuracy, exits, cost and time of a model file on a split: passes, figures and plots."""
