"""An interrupted training and one that was not end at the same weights, bit for bit."""

import itertools

import keras
import numpy as np
import pytest

import tfmeta
from tfmeta import updates
from tfmeta.keras_optimizer import shipped

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 6, size=(8, 4, 2))
Y = RANDOM.normal(size=(8, 4, 1)).astype(np.float32)
SETTINGS = {
    "accumulation": {"gradient_accumulation_steps": 2},
    "norm": {"clipnorm": 0.01},
    "value": {"clipvalue": 0.01},
    "global norm": {"global_clipnorm": 0.01},
    "average": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "schedule": {"learning_rate": keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)},
    "decay": {"weight_decay": 0.1},
    "scaled": {"loss_scale_factor": 64.0},
}
ALL = {
    "gradient_accumulation_steps": 2,
    "global_clipnorm": 0.01,
    "use_ema": True,
    "ema_momentum": 0.5,
    "ema_overwrite_frequency": 2,
    "learning_rate": keras.optimizers.schedules.PiecewiseConstantDecay([3, 5], [1.0, 0.5, 0.25]),
    "weight_decay": 0.1,
}
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
each_shipped_rule = pytest.mark.parametrize("rule", shipped.names())


@pytest.fixture
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input([2]),
            keras.layers.Embedding(6, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(4, "tanh"),
            keras.layers.Dense(1),
        ]
    )


def train(model, first, last):
    # `fit` would put the averages in the place of the weights when it ends.
    for step in range(first, last):
        model.train_on_batch(X[step], Y[step])


def everything(model):
    variables = [*model.weights, *model.optimizer.variables]
    return {v.path: keras.ops.convert_to_numpy(v) for v in variables}


def assert_resumes(tmp_path, settings, stop, rule=None):
    model = network()
    rule = rule or updates.CoordinatewiseLSTM(units=3, output_scale=0.5)
    model.compile(optimizer=tfmeta.LearnedOptimizer(rule, **settings), loss="mse")
    train(model, 0, stop)
    model.save(tmp_path / "model.keras")
    stopped = everything(model)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        train(one, stop, 8)
    expected, result = everything(model), everything(loaded)
    assert len(expected) == len(result)
    for name, one, other in zip(expected, expected.values(), result.values(), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(other, one, err_msg=name)
    moved = [np.abs(expected[name] - stopped[name]).max() > 0 for name in stopped]
    assert any(moved[: len(model.weights)])


@pytest.mark.parametrize(
    ("policy", "stop"),
    [
        pytest.param(*case, marks=[] if case == ("mixed_float16", 3) else pytest.mark.slow)
        for case in itertools.product(POLICIES, (3, 4))
    ],
    indirect=["policy"],
)
@pytest.mark.usefixtures("policy")
def test_with_all_settings_at_once(tmp_path, stop):
    assert_resumes(tmp_path, ALL, stop)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, indirect=True)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.usefixtures("policy")
def test_with_each_setting_by_itself(tmp_path, name):
    assert_resumes(tmp_path, SETTINGS[name], 3)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, indirect=True)
@each_shipped_rule
@pytest.mark.usefixtures("policy")
def test_shipped_rules_with_all_settings_at_once(tmp_path, rule):
    assert_resumes(tmp_path, ALL, 3, shipped.load(rule))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
@each_shipped_rule
def test_shipped_rules_with_each_setting_by_itself(tmp_path, rule, name):
    assert_resumes(tmp_path, SETTINGS[name], 3, shipped.load(rule))


@pytest.mark.slow
def test_fit_goes_on_from_a_backup_as_if_it_had_not_been_interrupted(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def fit(*callbacks):
        model, rule = network(), updates.CoordinatewiseLSTM(units=3, output_scale=0.5)
        model.compile(optimizer=tfmeta.LearnedOptimizer(rule, **ALL), loss="mse")
        x, y = X.reshape(-1, 2), Y.reshape(-1, 1)
        model.fit(x, y, batch_size=11, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        return model

    with pytest.raises(KeyboardInterrupt):
        fit(keras.callbacks.BackupAndRestore(tmp_path / "backup"), Interrupt())
    resumed = fit(keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    for one, other in zip(everything(fit()).values(), everything(resumed).values(), strict=True):
        np.testing.assert_array_equal(other, one)


@pytest.mark.filterwarnings("ignore:.*starts afresh", "ignore:Skipping variable loading")
@pytest.mark.parametrize(
    "policy, other",
    [("mixed_float16", "float32"), ("float32", "mixed_float16")],
    indirect=["policy"],
)
def test_under_another_policy_a_model_loads_and_its_optimizer_starts_afresh(
    policy, other, tmp_path
):
    model, rule = network(), updates.HierarchicalRNN("gru", (3, 4, 5))
    model.compile(tfmeta.LearnedOptimizer(rule), "mse")
    train(model, 0, 2)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy(other)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    optimizer = getattr(loaded.optimizer, "inner_optimizer", loaded.optimizer)
    assert_same(rule.get_weights(), optimizer.rule.get_weights())
    assert_same(model.get_weights(), loaded.get_weights())


@pytest.mark.filterwarnings("ignore:.*HDF5", "ignore:.*legacy")
def test_an_h5_file_loads_and_trains_on(tmp_path):
    model, rule = network(), updates.CoordinatewiseLSTM(units=3)
    model.compile(tfmeta.LearnedOptimizer(rule), keras.losses.MeanSquaredError())
    train(model, 0, 2)
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5")
    assert_same(model.get_weights(), loaded.get_weights())
    train(loaded, 2, 4)


def assert_same(one, other):
    for expected, result in zip(one, other, strict=True):
        np.testing.assert_array_equal(result, expected)
