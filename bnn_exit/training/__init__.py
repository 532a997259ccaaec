"""Training: settings, loss, schedule, checkpoints and the loop."""

from bnn_exit.settings.training import TrainConfig
from bnn_exit.training.loop import fit

__all__ = ["TrainConfig", "fit"]
