"""Binary backbones cut into stages, exit heads, and the networks made of them.

`python -m bnn_exit.models` lists the trained models of `bnn_exit.pretrained`, on devices too: nothing here loads
TensorFlow before one of the modules is imported.
"""
