import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit._keras import tf
from distill import losses


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@given(st.integers(0, 10**6), st.floats(0.5, 8))
def test_soft_labels_are_the_divergence_computed_by_hand(seed, temperature):
    random = np.random.default_rng(seed)
    student, teacher = random.normal(0, 3, (2, 5, 7))
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=-1).mean()
    found = losses.soft_label_loss(
        tf.constant(student, tf.float32), tf.constant(teacher, tf.float32), temperature=temperature
    )
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_soft_labels_of_an_equal_student_cost_nothing_and_a_shift_of_logits_changes_nothing():
    logits = tf.constant([[1.0, 2.0, -3.0]])
    assert float(losses.soft_label_loss(logits + 5, logits, temperature=3.0)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_temperature_does_not_change_the_size_of_small_gradients(temperature):
    teacher = tf.constant([[0.1, -0.1, 0.05]])
    student = tf.Variable([[0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.soft_label_loss(student, teacher, temperature=temperature)
    expected = (0 - (teacher.numpy() - teacher.numpy().mean())) / 3  # for large temperatures: differences over classes
    np.testing.assert_allclose(tape.gradient(loss, student).numpy(), expected, atol=0.004)


@pytest.mark.parametrize("loss", [losses.embedding_loss, losses.feature_loss, losses.attention_loss])
def test_no_gradient_goes_to_the_teacher(loss):
    shape = (2, 6) if loss is losses.embedding_loss else (2, 3, 4, 6)
    student, teacher = (tf.Variable(np.random.default_rng(seed).normal(size=shape)) for seed in (1, 2))
    with tf.GradientTape() as tape:
        value = loss(student, teacher)
    to_student, to_teacher = tape.gradient(value, [student, teacher])
    assert float(value) > 0 and np.abs(to_student.numpy()).max() > 0 and to_teacher is None


def test_features_are_compared_by_their_pattern_and_not_their_scale():
    features = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    other = features * np.array([1, 2, 3, 4, 5]) + 7
    assert float(losses.feature_loss(tf.constant(features), tf.constant(other))) == pytest.approx(0, abs=1e-4)


def test_attention_is_the_energy_of_each_place_at_unit_norm():
    features = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    energy = np.square(features).sum(axis=-1).reshape(2, 12)
    expected = energy / np.linalg.norm(energy, axis=-1, keepdims=True)
    np.testing.assert_allclose(losses.attention(tf.constant(features)).numpy(), expected, rtol=1e-6)
    # Channels may differ in number and order.
    doubled = np.concatenate([features, features], axis=-1)[..., ::-1]
    assert float(losses.attention_loss(tf.constant(features), tf.constant(doubled.copy()))) == pytest.approx(
        0, abs=1e-9
    )
