import itertools

import numpy as np
import pytest

from bnn_exit._keras import keras, larq, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.training import TrainConfig
from bnn_exit.training.loss import joint_loss
from bnn_exit.training.optimizer import decay_kernels, learning_rate, make_optimizer, set_learning_rate


def test_joint_loss_is_the_weighted_sum_computed_by_hand():
    logits = [np.array([[1.0, 2.0, 0.0]], np.float32), np.array([[0.0, 0.0, 3.0]], np.float32)]
    target = np.array([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])
    losses = [-(target * np.log(np.exp(z[0]) / np.exp(z[0]).sum())).sum() for z in logits]
    found = joint_loss([tf.constant(z) for z in logits], tf.one_hot([1], 3), weights=[0.5, 2.0], label_smoothing=0.1)
    assert float(found) == pytest.approx(0.5 * losses[0] + 2.0 * losses[1], rel=1e-6)


def test_the_rate_rises_then_falls_along_a_cosine_to_zero():
    config = TrainConfig(learning_rate=0.01, warmup_steps=9)
    rates = [learning_rate(step, total_steps=1000, config=config) for step in range(1001)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9] == pytest.approx(0.01, rel=1e-3)
    assert rates[500] == pytest.approx(0.005)
    assert rates[1000] == pytest.approx(0)
    assert all(a > b for a, b in itertools.pairwise(rates[9:]))


def test_bop_flips_signs_of_binary_kernels_only_and_adam_trains_the_rest():
    source = keras.Input((4, 4, 2))
    model = keras.Model(source, keras.layers.BatchNormalization()(binary_conv(source, 2, name="conv")))
    optimizer = make_optimizer(TrainConfig(optimizer="bop", learning_rate=0.5))
    set_learning_rate(optimizer, 0.01)
    kernel, gamma, beta = model.trainable_variables
    before = kernel.numpy()
    optimizer.apply_gradients([(tf.sign(kernel) * 10.0, kernel), (tf.ones(2), gamma), (tf.ones(2), beta)])
    np.testing.assert_array_equal(kernel.numpy(), -np.sign(before))
    np.testing.assert_allclose(beta.numpy(), -0.01, rtol=1e-4)


def test_an_unknown_optimizer_is_named():
    with pytest.raises(ArgumentError, match="optimizer is 'adan', but must be one of adam, bop; did you mean 'adam'"):
        TrainConfig(optimizer="adan")


def test_weight_decay_shrinks_float_kernels_alone():
    source = keras.Input((4, 4, 2))
    features = keras.layers.PReLU(shared_axes=[1, 2])(keras.layers.Conv2D(3, 1, name="pointwise")(source))
    features = keras.layers.BatchNormalization()(binary_conv(features, 2, name="conv"))
    model = keras.Model(source, keras.layers.Dense(2, name="dense")(keras.layers.Flatten()(features)))
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    decay_kernels(model.trainable_variables, amount=tf.constant(0.25))
    for variable in model.trainable_variables:
        shrinks = variable.name in ("pointwise/kernel:0", "dense/kernel:0")
        np.testing.assert_array_equal(variable.numpy(), before[variable.name] * (0.75 if shrinks else 1.0))


def test_binary_kernels_of_other_networks_are_known_without_the_names_of_ours():
    source = keras.Input((4, 4, 2))
    layer = larq.layers.QuantConv2D(2, 3, input_quantizer="ste_sign", kernel_quantizer="ste_sign", name="theirs")
    plain = larq.layers.QuantConv2D(2, 1, name="plain")
    model = keras.Model(source, plain(layer(source)))
    decay_kernels(model.trainable_variables, amount=tf.constant(1.0))
    assert np.abs(layer.kernel.latent_variable.numpy()).min() > 0
    np.testing.assert_array_equal(plain.kernel.numpy(), 0)
