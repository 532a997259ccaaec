"""From the logits of every exit to thresholds: constraints, search, exit subsets, guarantees and drift.

Everything here is a function of `ExitLogits`: no file, model or data set is read.
"""
