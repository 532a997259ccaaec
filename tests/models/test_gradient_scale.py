import numpy as np
import pytest

from bnn_exit._keras import keras, tf
from bnn_exit.models.gradient_scale import GradientScale, shared_gradient


def test_values_pass_unchanged_and_the_gradient_is_multiplied():
    values = tf.constant([[0.1, -3.3e-38, 7e30]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = GradientScale(0.25)(values)
        loss = tf.reduce_sum(result * [[4.0, 8.0, -2.0]])
    np.testing.assert_array_equal(result.numpy(), values.numpy())
    np.testing.assert_array_equal(tape.gradient(loss, values).numpy(), [[1.0, 2.0, -0.5]])


def test_the_layer_is_made_again_from_its_settings():
    assert GradientScale.from_config(GradientScale(0.25, name="half").get_config()).factor == 0.25


@pytest.mark.parametrize("graph", [False, True])
def test_each_stage_has_the_mean_gradient_of_the_exits_behind_it(graph):
    # Stage m multiplies by w_m and head m by a_m, so gradients are worked out by hand.
    source = keras.Input((1,))
    stages = [keras.layers.Dense(1, use_bias=False) for _ in range(3)]
    reached, heads = source, []
    for deeper, stage in zip((2, 1, 0), stages, strict=True):
        for_head, reached = shared_gradient(stage(reached), deeper=deeper)
        heads.append(for_head)
    model = keras.Model(source, heads)
    w1, w2, w3 = 2.0, 3.0, 5.0
    for stage, value in zip(stages, (w1, w2, w3), strict=True):
        stage.set_weights([np.array([[value]])])
    a1, a2, a3 = 7.0, 11.0, 13.0

    def gradients():
        with tf.GradientTape() as tape:
            one, two, three = model(tf.constant([[1.0]]))
            loss = tf.reduce_sum(a1 * one + a2 * two + a3 * three)
        return tape.gradient(loss, model.trainable_variables)

    found = [gradient.numpy().item() for gradient in (tf.function(gradients) if graph else gradients)()]
    at_3 = a3
    at_2 = a2 / 2 + at_3 * w3 / 2
    at_1 = a1 / 3 + at_2 * w2 * 2 / 3
    assert found == pytest.approx([at_1, at_2 * w1, at_3 * w1 * w2])
    assert [output.numpy().item() for output in model(tf.constant([[1.0]]))] == [w1, w1 * w2, w1 * w2 * w3]
