"""The loss of agreement, and exits that are refitted without labels."""

import dataclasses
import gc
import importlib
import weakref

import numpy as np
import pytest
import tone_run
from tiny import tiny_model

import bnn_exit
from bnn_exit._keras import keras, make_repeatable, set_seed, tf
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.models.hidden_layer import with_hidden_layer
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.settings.augment import UNCHANGED
from bnn_exit.training import TrainConfig, fit
from bnn_exit.training.adapt import _Refit, _Versions, held_back, settings
from bnn_exit.training.agreement import agreement_loss
from bnn_exit.training.frozen import only_heads
from bnn_exit.training.head_inputs import HeadInputs
from bnn_exit.training.optimizer import set_learning_rate

adapt_module = importlib.import_module("bnn_exit.training.adapt")


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    make_repeatable()


def softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_loss_is_that_of_numpy(temperature):
    logits = np.random.default_rng(0).normal(0, 3, (3, 5, 4))
    early, last = softmax(logits[:-1] / temperature), softmax(logits[-1] / temperature)
    expected = temperature**2 * np.mean(np.sum(last * (np.log(last) - np.log(early)), axis=-1))
    found = agreement_loss([tf.constant(each, tf.float32) for each in logits], temperature=temperature)
    assert found.shape == () and float(found) == pytest.approx(expected, rel=1e-5)


def test_the_loss_by_hand():
    # 1/2 ln((1/2) / (3/4)) + 1/2 ln((1/2) / (1/4))
    logits = [tf.constant([[np.log(3.0), 0.0]], tf.float32), tf.constant([[0.0, 0.0]])]
    assert float(agreement_loss(logits, temperature=1.0)) == pytest.approx(0.5 * np.log(4 / 3), rel=1e-5)


def test_no_gradient_reaches_the_last_exit():
    first, last = tf.Variable([[1.0, 0.0]]), tf.Variable([[0.0, 2.0]])
    with tf.GradientTape() as tape:
        loss = agreement_loss([first, last], temperature=1.0)
    of_first, of_last = tape.gradient(loss, [first, last])
    assert of_last is None
    np.testing.assert_allclose(
        of_first.numpy(), softmax(np.array([[1.0, 0.0]])) - softmax(np.array([[0.0, 2.0]])), atol=1e-6
    )


@pytest.mark.parametrize(
    ("exits", "temperature", "message"),
    [
        (1, 1.0, "logits are of 1 exit, but an early exit and the last are needed"),
        (2, 0.0, "temperature is 0.0, but must be above 0"),
        (2, float("nan"), "temperature is nan, but must be above 0"),
    ],
)
def test_what_the_loss_refuses(exits, temperature, message):
    with pytest.raises(ArgumentError, match=message):
        agreement_loss([tf.zeros([1, 2])] * exits, temperature=temperature)


@pytest.fixture(scope="module")
def trained(tone_task):
    """A network whose last exit knows the tones, and whose others were hardly trained."""
    set_seed(1)
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, head="grid")
    config = TrainConfig(
        epochs=10, batch_size=8, warmup_steps=5, learning_rate=5e-3, exit_weights=(0.0, 0.0, 1.0), seed=1
    )
    fit(model, tone_task, config=config, augment=tone_run.GENTLE, progress=False)
    return model, model.keras_model.get_weights()


@pytest.fixture
def model(trained):
    network, weights = trained
    network.keras_model.set_weights(weights)
    return network


def clips(task):
    return np.concatenate([task.log_mel("train"), task.log_mel("validation")])


def test_exits_come_to_agree_with_the_last_one_which_stays(model, tone_task):
    log_mel, test = clips(tone_task), np.asarray(tone_task.log_mel("test"))
    stays = [*(weight for stage in model.stages for weight in stage.weights), *model.heads[-1].weights]
    inner = [layer for head in model.heads for layer in head._flatten_layers(include_self=False)]
    normalisation = [layer for layer in inner if isinstance(layer, keras.layers.BatchNormalization)]
    stays += [weight for layer in normalisation for weight in layer.weights]
    assert normalisation
    kept = [weight.numpy() for weight in stays]
    before = model.logits(test)
    flags = [layer.trainable for layer in model.keras_model._flatten_layers()]
    history = bnn_exit.adapt(model, log_mel, views=2, epochs=20, batch_size=8, learning_rate=1e-2, progress=False)
    after = model.logits(test)
    for old, weight in zip(kept, stays, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
    np.testing.assert_array_equal(before[:, -1], after[:, -1])
    labels = before.argmax(axis=-1)[:, -1:]
    old, new = ((each.argmax(axis=-1) == labels).mean(axis=0) for each in (before, after))
    assert old[:2].max() < 0.4 and new[:2].min() > 0.7
    assert [layer.trainable for layer in model.keras_model._flatten_layers()] == flags
    assert all("loss" in record for record in history[1:])
    assert [record["epoch"] for record in history] == list(range(21))
    assert history[0]["validation_accuracy"][-1] == history[-1]["validation_accuracy"][-1] == 1.0


def test_the_same_seed_gives_the_same_weights(trained, tone_task):
    network, weights = trained
    found = []
    for seed in (3, 3, 4):
        network.keras_model.set_weights(weights)
        bnn_exit.adapt(network, clips(tone_task), views=2, epochs=2, seed=seed, progress=False)
        found.append(network.keras_model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(found[0], found[2], strict=True))


def test_the_last_epoch_is_kept_if_it_agrees_better_than_before(model, tone_task):
    log_mel = clips(tone_task)
    history = bnn_exit.adapt(model, log_mel, views=3, epochs=6, batch_size=8, learning_rate=1e-2, progress=False)
    found_logits = model.logits(log_mel[held_back(len(log_mel))])
    found = found_logits.argmax(axis=-1)
    agreement = (found == found[:, -1:]).mean(axis=0)
    assert history[-1]["validation_accuracy"] == pytest.approx(agreement.tolist(), abs=1e-5)
    early, last = softmax(found_logits[:, :-1]), softmax(found_logits[:, -1:])
    apart = (last * (np.log(last) - np.log(early))).sum(axis=-1).mean()
    assert history[-1]["validation_loss"] == pytest.approx(apart, rel=1e-3)


def test_heads_are_pulled_to_their_weights_before(model, tone_task):
    """The loss of a step is agreement, and 1e-5 of the squared distance."""
    inputs = HeadInputs(model)
    read = inputs.of([np.asarray(tone_task.log_mel("test"))[:8]])
    training = _Refit(model, inputs, read, read, settings(epochs=1, batch_size=8), 2.0)
    batch = [tf.constant(each) for each in read]
    apart = agreement_loss([*(head(x) for head, x in zip(inputs.heads, batch[:-1])), batch[-1]], temperature=2.0)
    set_learning_rate(training._optimizer, 0.0)
    assert float(training._step(*batch)) == pytest.approx(float(apart), rel=1e-5)
    kernel = inputs.trainable_variables[0]
    kernel.assign_add(tf.fill(kernel.shape, 5.0))
    apart = agreement_loss([*(head(x) for head, x in zip(inputs.heads, batch[:-1])), batch[-1]], temperature=2.0)
    moved = 1e-5 * 25 * np.prod(kernel.shape)
    assert float(training._step(*batch)) == pytest.approx(float(apart) + moved, rel=1e-4)


@pytest.mark.parametrize("head", ["grid", "pooled", "strided", "auxiliary"])
def test_cut_heads_give_the_logits_of_the_network(tone_task, head):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, head=head)
    log_mel = np.asarray(tone_task.log_mel("test"))
    inputs = HeadInputs(model)
    *read, last = inputs.of([log_mel[:5], [tf.constant(log_mel[5:9, ..., None])]], batch_size=3)
    expected = model.logits(log_mel[:9])
    exact = inputs._reader(log_mel[:9, ..., None], training=False)
    for index, (rest, whole, values) in enumerate(zip(inputs.heads, exact, read)):
        np.testing.assert_allclose(rest(whole).numpy(), expected[:, index], rtol=1e-4, atol=1e-5)
        assert values.dtype == np.float16
        np.testing.assert_allclose(values, whole.numpy(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(last, expected[:, -1], rtol=1e-4, atol=1e-5)
    assert inputs.bytes_of_clip == sum(each[0].nbytes for each in (*read, last))
    if head == "grid":  # ReLU and the average are done
        assert read[0].shape[1] <= 6 and read[0].shape[2] <= 4
    names = [weight.name for weight in inputs.trainable_variables]
    assert names and not any("batch_normalization" in name or "gamma" in name or "beta" in name for name in names)


def test_a_head_that_is_no_chain_is_not_cut(tone_task):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    source = keras.Input(model.heads[0].input.shape[1:])
    mean = keras.layers.GlobalAveragePooling2D()(source)
    both = keras.layers.Concatenate()([keras.layers.Dense(3)(mean), mean])
    head = keras.Model(source, keras.layers.Dense(4)(both))
    network = MultiExitModel(model.stages, [head, *model.heads[1:]])
    log_mel = np.asarray(tone_task.log_mel("test"))[:4]
    inputs = HeadInputs(network)
    whole, *_ = inputs._reader(log_mel[..., None], training=False)
    np.testing.assert_allclose(inputs.heads[0](whole).numpy(), network.logits(log_mel)[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(inputs.of([log_mel])[0], whole.numpy(), rtol=1e-3, atol=1e-5)


def test_heads_that_read_much_get_fewer_views(model, tone_task, monkeypatch, capsys):
    log_mel = clips(tone_task)
    count = int((~held_back(len(log_mel))).sum())
    monkeypatch.setattr(adapt_module, "_MOST_BYTES", 2 * count * HeadInputs(model).bytes_of_clip)
    seen = []
    refit = adapt_module._Refit
    monkeypatch.setattr(adapt_module, "_Refit", lambda *given: seen.append(len(given[2][0])) or refit(*given))
    bnn_exit.adapt(model, log_mel, views=5, epochs=1)
    assert "2 of 5 views and 0 of 0 replays are used: what heads read of more does not fit" in capsys.readouterr().err
    # Clips that do not fill the last batch of a view wait for another one.
    assert count < seen[0] <= 2 * count


def test_so_many_versions_that_they_would_take_hours_are_fewer(model, tone_task, monkeypatch, capsys):
    log_mel = clips(tone_task)
    monkeypatch.setattr(adapt_module, "_MOST_CLIPS", 3 * int((~held_back(len(log_mel))).sum()))
    bnn_exit.adapt(model, log_mel, views=6, epochs=1)
    error = capsys.readouterr().err
    assert "3 of 6 views and 0 of 0 replays are used: more would take hours" in error


def in_a_place(clips, *, word):
    """Clips with loud frames in the middle, and a steady noise floor around them."""
    found = np.full_like(clips, -9.0) + np.random.default_rng(5).normal(0, 0.1, clips.shape).astype(np.float32)
    found[:, word] = clips[:, word] + 6
    return found


def test_other_clips_are_learned_from_with_the_background_of_the_unlabelled_ones(model, tone_task, monkeypatch):
    read, original = [], HeadInputs.of
    monkeypatch.setattr(
        HeadInputs, "of", lambda self, parts, **more: read.append(parts) or original(self, parts, **more)
    )
    others, field = np.asarray(tone_task.log_mel("train")), in_a_place(clips(tone_task)[:20], word=slice(15, 30))
    seen, refit = [], adapt_module._Refit
    monkeypatch.setattr(adapt_module, "_Refit", lambda *given: seen.append(len(given[2][0])) or refit(*given))
    options = {"views": 1, "epochs": 1, "progress": False}
    for replay, replays, count in ((None, 2, 16), (others, 0, 16), (others, 2, 16 + 2 * len(others))):
        bnn_exit.adapt(model, field, replay=replay, replays=replays, **options)
        assert seen.pop() == count, replays


def test_versions_of_other_clips_are_not_all_in_memory(model, tone_task):
    others, alive = np.asarray(tone_task.log_mel("train"), np.float32), []

    def made():
        for view in range(4):
            version = others + view
            alive.append(weakref.ref(version))
            yield version

    augment = dataclasses.replace(UNCHANGED, time_shift_ms=0.0)
    versions = _Versions(model, augment, tone_task.features, seed=0).of(others[:4], made(), views=1)
    assert next(versions) is not None
    means = [np.mean([batch.numpy().mean() for batch in version]) for version in versions]
    # Each is read whole, and is what was made for it.
    np.testing.assert_allclose(np.diff(means), 1, atol=1e-4)
    gc.collect()
    assert [reference() is None for reference in alive] == [True] * 4


def test_others_teach_what_few_clips_cannot(trained, tone_task):
    network, weights = trained
    others, test = clips(tone_task), np.asarray(tone_task.log_mel("test"))
    field, found = in_a_place(others[:4], word=slice(10, 40)), []
    for replay in (None, others):
        network.keras_model.set_weights(weights)
        options = {"replay": replay, "views": 2, "epochs": 20, "batch_size": 8, "learning_rate": 1e-2}
        bnn_exit.adapt(network, field, progress=False, **options)
        labels = network.logits(in_a_place(test, word=slice(10, 40))).argmax(axis=-1)
        found.append((labels[:, :2] == labels[:, 2:]).mean())
    assert found[1] > found[0] + 0.2, found


def test_a_hidden_layer_changes_nothing_until_it_is_trained(model, tone_task):
    test = np.asarray(tone_task.log_mel("test"))
    wide, expected = model.with_hidden_layers(), model.logits(test)
    np.testing.assert_allclose(wide.logits(test), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(wide.logits(test)[:, -1], expected[:, -1])
    for narrow, head in zip(model.heads[:-1], wide.heads[:-1]):
        kernels = [layer.kernel.shape for layer in head.layers if isinstance(layer, keras.layers.Dense)]
        assert kernels == [(narrow.layers[-1].kernel.shape[0], 64), (64, 4)]
        assert head.layers[1].weights == narrow.layers[1].weights
    assert wide.heads[-1] is model.heads[-1] and wide.costs()[0].ops > model.costs()[0].ops
    assert wide.costs()[0].ops - model.costs()[0].ops == (kernels_of(model, 0) + 4) * 64 - kernels_of(model, 0) * 4
    assert model.with_hidden_layers(8).heads[0].layers[-2].units == 8
    with pytest.raises(ArgumentError, match="units is 7, but must be at least 8, two for each of the 4 classes"):
        model.with_hidden_layers(7)


def kernels_of(model, index):
    return model.heads[index].layers[-1].kernel.shape[0]


def test_a_hidden_layer_learns_what_a_linear_head_cannot():
    """Whether two features have one sign."""
    random = np.random.default_rng(0)
    features = random.choice([-1, 1], (400, 2)) * random.uniform(0.5, 1, (400, 2))
    labels = (features.prod(axis=1) > 0).astype(np.int32)
    source = keras.Input(2)
    linear = keras.Model(source, keras.layers.Dense(2, name="logits")(source))
    found = []
    for head in (linear, with_hidden_layer(linear, 16)):
        head.compile(keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        head.fit(features, labels, epochs=20, verbose=0)
        found.append(np.mean(head(features).numpy().argmax(axis=-1) == labels))
    assert found[0] < 0.75 and found[1] > 0.95


def test_a_head_that_ends_in_something_else_keeps_its_form():
    source = keras.Input(3)
    head = keras.Model(source, keras.layers.ReLU()(keras.layers.Dense(2)(source)))
    assert with_hidden_layer(head, 64) is head


def test_weights_stay_where_the_last_epoch_is_not_better(model, tone_task):
    bnn_exit.adapt(model, clips(tone_task), views=2, epochs=20, batch_size=8, learning_rate=1e-2, progress=False)
    weights = model.keras_model.get_weights()
    history = bnn_exit.adapt(model, clips(tone_task), views=2, epochs=1, learning_rate=10.0, progress=False)
    assert history[1]["validation_loss"] >= history[0]["validation_loss"]
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.keras_model.get_weights(), strict=True))


def test_an_error_within_leaves_layers_trainable(model):
    with pytest.raises(KeyError), only_heads(model, [0]):
        assert not model.stages[0].trainable and model.heads[0].trainable and not model.heads[1].trainable
        raise KeyError
    assert model.stages[0].trainable and model.heads[1].trainable


def test_every_fifth_clip_is_held_back():
    assert np.flatnonzero(held_back(12)).tolist() == [0, 5, 10] and held_back(2).tolist() == [True, False]
    # Thresholds need two clips.
    assert [int(held_back(clips).sum()) for clips in (3, 4, 5, 6)] == [2, 2, 3, 2]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"log_mel": np.zeros((4, 3, 64), np.float32)},
            ArgumentError,
            r"log_mel has shape \(4, 3, 64\), but must be",
        ),
        ({"log_mel": np.zeros((1, 48, 64), np.float32)}, DataError, "log_mel holds 1 clip, but one to learn from"),
        ({"temperature": -1}, ArgumentError, "temperature is -1, but must be a finite number above 0"),
        ({"epochs": 0}, ArgumentError, "epochs is 0, but must be at least 1"),
        ({"views": 0}, ArgumentError, "views is 0, but must be from 1 to 1000"),
        ({"replays": -1}, ArgumentError, "replays is -1, but must be from 0 to 1000"),
        ({"replay": np.zeros((4, 3, 64))}, ArgumentError, r"replay has shape \(4, 3, 64\), but must be"),
    ],
)
def test_what_adapting_refuses(model, tone_task, change, kind, message):
    options = {"log_mel": clips(tone_task), "progress": False, **change}
    with pytest.raises(kind, match=message):
        bnn_exit.adapt(model, options.pop("log_mel"), **options)


def test_one_exit_has_nothing_to_learn(model, tone_task):
    with pytest.raises(ArgumentError, match="the network has one exit, but only exits before the last can learn"):
        bnn_exit.adapt(model.truncated(0), clips(tone_task))


def test_heads_that_read_earlier_logits_are_refused(tone_task):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, boost=0.5)
    with pytest.raises(ArgumentError, match=r"the network has heads that read the logits of the exit before, so the"):
        bnn_exit.adapt(model, clips(tone_task), epochs=1)
