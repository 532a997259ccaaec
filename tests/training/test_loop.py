import dataclasses

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit._keras import make_repeatable, set_seed, tf
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.models import multi_exit
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.training import TrainConfig, checkpoint, fit
from bnn_exit.training.data import _made_ahead
from bnn_exit.training.loop import LAST, _Fit
from bnn_exit.training.loss import joint_loss

GENTLE = AugmentConfig(time_shift_ms=20.0, snr_db=(20.0, 30.0), time_mask_frames=4, frequency_mask_mels=2)
CONFIG = TrainConfig(epochs=3, batch_size=16, warmup_steps=5, learning_rate=5e-3, seed=3)


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    make_repeatable()


def new_model(task, seed=3):
    set_seed(seed)
    return tiny_model(num_classes=task.num_classes, input_shape=task.input_shape)


def weights(model):
    return [variable.numpy() for variable in model.keras_model.weights]


class Stop(Exception):
    pass


@pytest.fixture(scope="module", params=["adam", "bop"])
def uninterrupted(request, tone_task, tmp_path_factory):
    config = dataclasses.replace(CONFIG, optimizer=request.param)
    model = new_model(tone_task)
    history = fit(model, tone_task, config=config, folder=tmp_path_factory.mktemp("whole"), progress=False)
    return config, weights(model), history


def test_every_exit_learns_the_tones(tone_task):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, head="grid")
    config = dataclasses.replace(CONFIG, batch_size=8)
    history = fit(model, tone_task, config=config, augment=GENTLE, epochs=12, progress=False)
    accuracy = (model.logits(tone_task.log_mel("test")).argmax(-1) == tone_task.test.labels[:, None]).mean(0)
    assert len(history) == 12
    assert accuracy.min() >= 0.9
    assert history[-1]["loss"] < history[0]["loss"]
    assert set(history[0]) == {
        "epoch",
        "loss",
        "train_accuracy",
        "validation_accuracy",
        "seconds",
        "waiting_share",
        "total_seconds",
        "processor_seconds",
        "peak_memory_bytes",
    }


@pytest.mark.parametrize("bfloat16", [True, False])
def test_bfloat16_is_for_the_steps_of_the_training_that_asks_for_it(tone_task, monkeypatch, bfloat16):
    def asked():
        return tf.config.optimizer.get_experimental_options()["auto_mixed_precision_onednn_bfloat16"]

    seen = []
    validate = _Fit._validate
    monkeypatch.setattr(_Fit, "_validate", lambda self, record: seen.append(asked()) or validate(self, record))
    make_step = _Fit._make_step

    def watched(self):
        step = make_step(self)
        return lambda *batch: seen.append(asked()) or step(*batch)

    monkeypatch.setattr(_Fit, "_make_step", watched)
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, head="grid")
    config = dataclasses.replace(CONFIG, batch_size=8, bfloat16=bfloat16)
    fit(model, tone_task, config=config, augment=GENTLE, epochs=12, progress=False)
    steps = len(tone_task.train) // 8
    assert seen == ([bfloat16] * steps + [False]) * 12 and not asked()
    found = model.logits(tone_task.log_mel("test"))
    assert ((found.argmax(-1) == tone_task.test.labels[:, None]).mean(0) >= 0.9).all()
    # What is compared with the file, which computes in float32.
    fresh = tiny_model(num_classes=4, input_shape=tone_task.input_shape, head="grid")
    fresh.keras_model.set_weights(model.keras_model.get_weights())
    np.testing.assert_array_equal(found, fresh.logits(tone_task.log_mel("test")))


def test_the_end_of_an_epoch_does_not_wait_for_the_tuning_of_the_data():
    tuned = tf.data.Dataset.range(3)
    assert tuned.options().autotune.enabled is not False
    assert _made_ahead(tuned, 2).options().autotune.enabled is False


def test_a_resumed_run_ends_with_the_same_weights(uninterrupted, tone_task, tmp_path, monkeypatch):
    config, expected, history = uninterrupted
    from bnn_exit.training import loop as module

    class Interrupted(module._Fit):
        def _train_epoch(self, epoch):
            if epoch == 1:
                raise Stop
            return super()._train_epoch(epoch)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(module, "_Fit", Interrupted)
        fit(new_model(tone_task), tone_task, config=config, folder=tmp_path, progress=False)

    model = new_model(tone_task, seed=99)  # the checkpoint, not the seed, must bring the weights back
    resumed = fit(model, tone_task, config=config, folder=tmp_path, resume=True, progress=False)
    for found, wanted in zip(weights(model), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for found, wanted in zip(resumed, history, strict=True):
        assert found["loss"] == wanted["loss"]
        assert found["validation_accuracy"] == wanted["validation_accuracy"]


def test_gradients_are_the_same_bits_every_time():
    # Large enough that both cores are at work and the order in which sums are ready varies.
    set_seed(0)
    network = multi_exit.build(size="base", num_classes=4, input_shape=(98, 64, 1)).keras_model
    log_mel, labels = tf.random.stateless_normal([64, 98, 64, 1], [0, 1]), tf.one_hot(tf.range(64) % 4, 4)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = joint_loss(network(log_mel, training=True), labels, weights=[1.0] * 3, label_smoothing=0.1)
        return tape.gradient(loss, network.trainable_variables)

    first = [gradient.numpy() for gradient in gradients()]
    for _ in range(8):
        for found, expected in zip(gradients(), first, strict=True):
            np.testing.assert_array_equal(found.numpy(), expected)


def test_the_best_weights_by_validation_come_back(tone_task, tmp_path):
    model = new_model(tone_task)
    history = fit(model, tone_task, config=CONFIG, folder=tmp_path, progress=False)
    accuracy = (model.logits(tone_task.log_mel("validation")).argmax(-1) == tone_task.validation.labels[:, None]).mean(
        0
    )
    best = max(np.mean(record["validation_accuracy"]) for record in history)
    assert accuracy.mean() == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("stored", [True, False])
def test_training_ends_with_heads_in_half_precision(tone_task, tmp_path, stored):
    model = new_model(tone_task)
    folder = tmp_path if stored else None
    fit(model, tone_task, config=CONFIG, epochs=2, folder=folder, progress=False)
    kernels = [layer.kernel.numpy() for head in model.heads for layer in head.layers if hasattr(layer, "kernel")]
    assert len(kernels) == model.num_exits
    for kernel in kernels:
        np.testing.assert_array_equal(kernel, kernel.astype(np.float16).astype(np.float32))
    if not stored:
        return
    again = new_model(tone_task)
    best = (tmp_path / "best.npz").read_bytes()
    checkpoint.load(tmp_path / "best.npz", variables=again.keras_model.weights)
    for found, expected in zip(again.keras_model.weights, model.keras_model.weights, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    # To resume what is finished changes nothing.
    fit(again, tone_task, config=CONFIG, epochs=2, folder=tmp_path, resume=True, progress=False)
    assert (tmp_path / "best.npz").read_bytes() == best


def test_fewer_clips_than_a_batch_make_one_smaller_batch(tone_task):
    config = dataclasses.replace(CONFIG, batch_size=4096, epochs=1)
    assert len(fit(new_model(tone_task), tone_task, config=config, progress=False)) == 1


def test_progress_names_each_exit_and_the_time_spent_waiting(tone_task, capsys):
    fit(new_model(tone_task), tone_task, config=CONFIG, epochs=1)
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch   1/1"))
    assert len(line.split("validation ")[1].split()[:3]) == 3 and line.endswith("% waiting for data")


def test_tensorboard_logs_are_written(tone_task, tmp_path):
    fit(new_model(tone_task), tone_task, config=CONFIG, epochs=1, folder=tmp_path, tensorboard=True, progress=False)
    tags = set()
    for path in (tmp_path / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
    assert {"loss", "validation_accuracy/exit_1", "train_accuracy/exit_3"} <= tags


def test_a_damaged_checkpoint_is_named(tone_task, tmp_path):
    fit(new_model(tone_task), tone_task, config=CONFIG, epochs=1, folder=tmp_path, progress=False)
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:1000])
    with pytest.raises(DataError, match=r"last.npz' cannot be read .*: start the training again"):
        fit(new_model(tone_task), tone_task, config=CONFIG, folder=tmp_path, resume=True, progress=False)


def test_a_checkpoint_of_another_network_changes_nothing(tone_task, tmp_path):
    variable = tf.Variable([1.0, 2.0])
    checkpoint.save(tmp_path / "a.npz", variables=[tf.Variable([[3.0]])], state={})
    with pytest.raises(DataError, match="belongs to another network or optimizer"):
        checkpoint.load(tmp_path / "a.npz", variables=[variable])
    np.testing.assert_array_equal(variable.numpy(), [1.0, 2.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"config": dataclasses.replace(CONFIG, exit_weights=(1.0,))},
            r"exit_weights has 1 values, but .* has 3 exits",
        ),
        ({"resume": True}, "folder is None, but resume and tensorboard need one"),
        ({"epochs": 0}, "epochs is 0, but must be at least 1"),
    ],
)
def test_bad_arguments_get_one_line(tone_task, options, message):
    with pytest.raises(ArgumentError, match=message):
        fit(new_model(tone_task), tone_task, **{"config": CONFIG, **options})


def test_a_network_for_other_clips_is_refused(tone_task):
    model = tiny_model(num_classes=7, input_shape=tone_task.input_shape)
    with pytest.raises(ArgumentError, match=r"has 7 classes, but the task gives .* and 4"):
        fit(model, tone_task, config=CONFIG)


def test_a_diverging_loss_is_named(tone_task):
    model = new_model(tone_task)
    bias = model.keras_model.trainable_variables[-1]
    bias.assign(tf.fill(bias.shape, float("nan")))
    with pytest.raises(DataError, match=r"the loss became nan in epoch 1: use a smaller learning_rate than 0\.005"):
        fit(model, tone_task, config=CONFIG, progress=False)


def test_autograph_leaves_keras_and_larq_as_they_are():
    # Rewriting them would take longer than a short training.
    from tensorflow.python.autograph.impl.conversion import is_allowlisted

    network = multi_exit.build(size="small", num_classes=4, input_shape=(48, 64, 1)).keras_model
    kinds = {type(part) for layer in network.layers for part in getattr(layer, "layers", [layer])}
    assert {"Dense", "QuantConv2D"} <= {kind.__name__ for kind in kinds}
    theirs = [kind for kind in kinds if kind.__module__.split(".")[0] in ("tf_keras", "larq")]
    assert all(is_allowlisted(kind.__call__) for kind in theirs) and not is_allowlisted(new_model)
