"""Binary backbones, a module each; `bnn_exit.models.registry` finds them by name."""
