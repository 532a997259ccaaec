"""How hard each clip is for a network with exits, figures of each class, and which labels look wrong.

`python -m bnn_exit.difficulty MODEL CLIPS...` is the command; `estimate` does the same in Python, `from_exit_logits`
from exit logits, and `bnn_exit.difficulty.beam` in an Apache Beam pipeline.
"""

from bnn_exit.difficulty.clips import estimate
from bnn_exit.difficulty.summary import ClassFigures, Summary, Suspect
from bnn_exit.difficulty.table import Table, exit_weights, from_exit_logits, from_probabilities

__all__ = [
    "ClassFigures",
    "Summary",
    "Suspect",
    "Table",
    "estimate",
    "exit_weights",
    "from_exit_logits",
    "from_probabilities",
]
