"""Distillation of binary students from full-precision teachers."""
