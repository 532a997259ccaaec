"""Which networks a Keras file may describe and still be data: a list of classes, and a copy that names nothing else.

Keras makes a network from a description, `config.json`, by importing the modules and calling the classes and functions
that the description names. So a description can be a program. What comes out of `checked` names only layers,
initialisers, regularisers, constraints and quantizers of the lists below, all of Keras, Larq or this package, and
functions only where a layer has one, by the names of activations. Nothing is passed on that was not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from bnn_exit.errors import DataError


def _words(text: str) -> list[str]:
    return text.split()


_LAYERS = _words(
    """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D AveragePooling2D
AveragePooling3D BatchNormalization Bidirectional CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose
Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D
DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise
GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D
GlobalMaxPooling3D GroupNormalization Identity InputLayer LSTM LSTMCell LayerNormalization LeakyReLU LocallyConnected1D
LocallyConnected2D Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention Multiply
Normalization PReLU Permute RNN ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN
SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D StackedRNNCells Subtract
ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
ZeroPadding3D
"""
)
_INITIALIZERS = _words(
    """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal RandomNormal
RandomUniform TruncatedNormal VarianceScaling Zeros
"""
)
_REGULARIZERS = ["L1", "L1L2", "L2", "OrthogonalRegularizer"]
_CONSTRAINTS = ["MaxNorm", "MinMaxNorm", "NonNeg", "RadialConstraint", "UnitNorm"]
_QUANT_LAYERS = _words(
    """
QuantConv1D QuantConv2D QuantConv2DTranspose QuantConv3D QuantConv3DTranspose QuantDense QuantDepthwiseConv2D
QuantLocallyConnected1D QuantLocallyConnected2D QuantSeparableConv1D QuantSeparableConv2D
"""
)
_QUANTIZERS = ["ApproxSign", "DoReFa", "MagnitudeAwareSign", "NoOp", "SteHeaviside", "SteSign", "SteTern", "SwishSign"]
_CLIPS = ["WeightClip", "weight_clip"]

_CLASSES: dict[tuple[str, str], str | None] = {
    **{("keras.layers", name): None for name in _LAYERS},
    **{("keras.initializers", name): None for name in _INITIALIZERS},
    **{("keras.regularizers", name): None for name in _REGULARIZERS},
    **{("keras.constraints", name): None for name in _CONSTRAINTS},
    **{("larq.layers", name): name for name in _QUANT_LAYERS},
    **{("larq.quantizers", name): name for name in _QUANTIZERS},
    **{("larq.constraints", name): name for name in _CLIPS},
    ("keras.mixed_precision", "Policy"): None,
    ("keras", "Sequential"): None,
    ("tf_keras.src.engine.functional", "Functional"): "Functional",
    ("bnn_exit.models.standardise", "Standardise"): "bnn_exit>Standardise",
    ("bnn_exit.models.level", "LevelNormalisation"): "bnn_exit>LevelNormalisation",
}
"""(module, class) -> the name that it is registered under."""

_FUNCTIONAL = ("tf_keras.src.engine.functional", "Functional")
_OLDER = {
    ("keras.src.engine.functional", "Functional"): _FUNCTIONAL,
    ("keras.engine.functional", "Functional"): _FUNCTIONAL,
}
"""Where earlier versions of Keras 2 had a class."""

_ACTIVATIONS = _words(
    """
elu exponential gelu hard_sigmoid leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu softmax softplus
softsign swish tanh hard_tanh leaky_tanh
"""
)


def _named(classes: Collection[str], *others: str) -> frozenset[str]:
    """The names by which Keras knows some classes: `GlorotNormal` and `glorot_normal`."""
    return frozenset([*classes, *(re.sub("(?<=.)([A-Z])", r"_\1", name).lower() for name in classes), *others])


_FUNCTIONS: dict[str, frozenset[str]] = {
    "activation": frozenset(_ACTIVATIONS),
    "initializer": _named(_INITIALIZERS, "normal", "uniform", "one", "zero"),
    "regularizer": _named(_REGULARIZERS, "l1_l2"),
    "constraint": _named([*_CONSTRAINTS, "WeightClip"], "maxnorm", "nonneg", "unitnorm"),
    "quantizer": _named(_QUANTIZERS, "dorefa_quantizer"),
}
"""Last word of a setting that may be the name of a function -> the names that are known."""

_NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
_Json = Any


class ProgramError(DataError):
    """A description names something that is on no list; the message names the layer."""


def checked(config: _Json) -> dict[str, _Json]:
    """A copy of the description of a network that names only what is on the lists.

    Args:
        config: JSON values, as `config.json` of a Keras file holds them.

    Raises:
        ProgramError: it names another class or function.
        DataError: it describes no network, or one whose layers wait for each other.
    """
    if not isinstance(config, dict) or config.get("class_name") not in ("Functional", "Sequential"):
        kind = config.get("class_name") if isinstance(config, dict) else config
        raise ProgramError(f"it describes {_shown(kind)}, but must describe a functional or Sequential model")
    return _object(config, "the network")


def _value(value: _Json, where: str) -> _Json:
    if isinstance(value, list):
        return [_value(each, where) for each in value]
    if not isinstance(value, dict):
        return value
    return _object(value, where) if "class_name" in value else _settings(value, where)


def _settings(values: dict[str, _Json], where: str) -> dict[str, _Json]:
    return {name: _setting(name, value, where) for name, value in values.items()}


def _setting(name: str, value: _Json, where: str) -> _Json:
    functions = _FUNCTIONS.get(name.rpartition("_")[2])
    if functions is None:
        return _value(value, where)
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
        value = "" if value is None else value
    if isinstance(value, str) and value not in functions:
        raise ProgramError(f"{where} names the function {_shown(value)} as its {name}")
    return _value(value, where)


def _object(value: dict[str, _Json], where: str) -> dict[str, _Json]:
    kind, module, settings = value["class_name"], value.get("module"), value.get("config")
    if isinstance(settings, dict) and isinstance(settings.get("name"), str):
        where = f"layer {_shown(settings['name'])}"
    if kind in ("__numpy__", "__tensor__"):
        return _array(value, where)
    if not isinstance(kind, str) or not isinstance(module, str):
        raise ProgramError(f"{where} is {_shown(kind)} of module {_shown(module)}")
    key = _OLDER.get((module, kind), (module, kind))
    if module.startswith("tf_keras."):
        key = key if key in _CLASSES else (module[3:], kind)
    if key not in _CLASSES or value.get("registered_name") not in (None, kind, _CLASSES[key]):
        raise ProgramError(f"{where} is {_shown(kind)} of module {_shown(module)}")
    if not isinstance(settings, dict):
        raise DataError(f"has {where} without settings")
    result: dict[str, _Json] = {"module": key[0], "class_name": key[1], "config": _settings(settings, where)}
    result["registered_name"] = _CLASSES[key]
    if key == _FUNCTIONAL:
        _check_order(settings, where)
    # What else may stand beside a class. How it was compiled is not passed on: nothing is trained.
    if "build_config" in value and isinstance(value["build_config"], dict):
        result["build_config"] = {"input_shape": _plain(value["build_config"].get("input_shape"), where)}
    if "inbound_nodes" in value:
        result["inbound_nodes"] = _plain(value["inbound_nodes"], where)
    if isinstance(value.get("name"), str):
        result["name"] = value["name"]
    if isinstance(value.get("shared_object_id"), int):
        result["shared_object_id"] = value["shared_object_id"]
    return result


def _array(value: dict[str, _Json], where: str) -> dict[str, _Json]:
    settings = value.get("config")
    if not isinstance(settings, dict) or settings.get("dtype") not in _NUMBERS:
        raise ProgramError(f"{where} has an array of {_shown(settings)}")
    numbers = _plain(settings.get("value"), where)
    return {"class_name": value["class_name"], "config": {"value": numbers, "dtype": settings["dtype"]}}


def _plain(value: _Json, where: str) -> _Json:
    """The same value, which must hold no classes: text, numbers, lists and settings."""
    if isinstance(value, list):
        return [_plain(each, where) for each in value]
    if isinstance(value, dict):
        if "class_name" in value:
            raise ProgramError(f"{where} is called with {_shown(value['class_name'])}")
        return {name: _plain(each, where) for name, each in value.items()}
    if value == "_COMPOSITE_TYPE":
        raise ProgramError(f"{where} is called with a value that is no array")
    return value


def _check_order(settings: dict[str, _Json], where: str) -> None:
    """DataError unless every call of a layer can follow those that it reads: Keras would look for an order for ever."""
    layers = settings.get("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise DataError(f"has {where} without a list of layers")
    waiting: dict[str, list[_Json]] = {}
    made: dict[str, range] = {}
    for layer in layers:
        name, calls = layer.get("name"), layer.get("inbound_nodes")
        if not isinstance(name, str) or not isinstance(calls, list) or name in waiting:
            raise DataError(f"has a layer {_shown(name)} twice, or without its calls")
        waiting[name], made[name] = list(calls), _made_before(layer)
    while any(waiting.values()):
        stuck = None
        for name, calls in waiting.items():
            while calls and all(source in made and call in made[source] for source, call in _reads(calls[0])):
                calls.pop(0)
                made[name] = range(made[name].start, made[name].stop + 1)
                stuck = ""
            stuck = name if calls and stuck is None else stuck
        if stuck:
            raise DataError(f"has a layer {_shown(stuck)} that reads what comes after it, or what is not there")


def _made_before(layer: dict[str, _Json]) -> range:
    """Numbers of a layer's calls before those that are written down; theirs go on from there.

    An input has one. A network that begins with its input was called when it was made, but nothing can read that.
    """
    if layer.get("class_name") == "InputLayer":
        return range(1)
    settings = layer.get("config")
    inside = settings.get("layers") if isinstance(settings, dict) else None
    first = inside[0] if isinstance(inside, list) and inside else None
    start = int(isinstance(first, dict) and first.get("class_name") == "InputLayer")
    return range(start, start)


def _reads(value: _Json) -> Iterator[tuple[_Json, _Json]]:
    """(layer, number of its call) of everything that a call reads, also through its other arguments."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return
    if len(value) in (3, 4) and isinstance(value[0], str):
        if value[0] != "_CONSTANT_VALUE":
            yield value[0], value[1] if isinstance(value[1], int) else -1
        value = value[3:]
    for each in value:
        yield from _reads(each)


def _shown(value: _Json) -> str:
    """Foreign text in a message: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
