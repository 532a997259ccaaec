"""Binary backbones cut into stages, exit heads, and the networks made of them."""

from bnn_exit.models.multi_exit import BACKBONES, ModelConfig, MultiExitModel, build

__all__ = ["BACKBONES", "ModelConfig", "MultiExitModel", "build"]
