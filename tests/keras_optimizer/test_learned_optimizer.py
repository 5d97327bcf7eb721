"""Update rules as Keras optimizers, from Python and from the folder of a run."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta import random_numbers, updates
from tfmeta.keras_optimizer import shipped
from tfmeta.training.checkpoints import Checkpoints

RATE = 0.0625
RULES = {
    "lstm": lambda: updates.CoordinatewiseLSTM(units=3, output_scale=0.5),
    "hierarchical gru": lambda: updates.HierarchicalRNN("gru", (3, 4, 5)),
    "hierarchical lstm": lambda: updates.HierarchicalRNN("lstm", (3, 4, 5)),
    "meta-sgd": lambda: updates.MetaSGD(RATE),
    "adam": lambda: updates.Adam(RATE),
    **{f"shipped {name}": functools.partial(shipped.load, name) for name in shipped.names()},
}
SHIPPED = [name for name in RULES if name.startswith("shipped")]
SHIPPED_SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in SHIPPED]
# It differs from the one with GRU cells in its cells alone, which have tests of their own.
HIERARCHICAL_LSTM = pytest.param("hierarchical lstm", marks=pytest.mark.slow)
QUICK = [name for name in RULES if name not in (*SHIPPED, "hierarchical lstm")]
EACH_RULE = [*QUICK, HIERARCHICAL_LSTM, *SHIPPED_SLOWLY]
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 3)).astype(np.float32)
Y = np.sin(X[:, :1])


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input([3]), layers.Dense(4, "tanh"), layers.Dense(1)])


def train(model, optimizer, epochs=4, x=X, **arguments):
    """Two steps an epoch."""
    model.compile(optimizer=optimizer, loss="mse", **arguments)
    return go_on(model, epochs, x)


def go_on(model, epochs, x=X):
    return model.fit(x, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def by_hand(rule, model, steps, seed=0):
    """The weights after some steps, from the equations of `UpdateRule` alone."""
    parameters = rule.parameters()
    weights = [tf.convert_to_tensor(weight) for weight in model.get_weights()]
    state = rule.initial_state(
        parameters, weights, random_numbers.fold_in(tf.constant([0, 0]), seed)
    )
    for step in range(steps):
        part = slice(8 * (step % 2), 8 * (step % 2) + 8)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            a, b, c, d = weights
            loss = tf.reduce_mean(tf.square(tf.tanh(X[part] @ a + b) @ c + d - Y[part]))
        weights, state = rule.update(parameters, weights, tape.gradient(loss, weights), state)
    return weights


def assert_same(one, other, **tolerance):
    for expected, result in zip(values(one), values(other), strict=True):
        np.testing.assert_allclose(result, expected, **tolerance)


def values(tensors):
    return [keras.ops.convert_to_tensor(tensor).numpy() for tensor in tensors]


def everything(model):
    return values([*model.weights, *model.optimizer.variables])


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(RATE, 1, 0.9)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": SCHEDULE},
        {"clipnorm": 0.1},
        {"clipvalue": 0.1},
        {"global_clipnorm": 0.1},
        {"weight_decay": 0.1},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
        {"gradient_accumulation_steps": 2},
        {"loss_scale_factor": 16.0},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_gradient_descent_is_that_of_keras_with_all_its_settings(settings):
    settings = {"learning_rate": RATE, **settings}
    ours, theirs = network().weights, network().weights
    for variables, optimizer in (
        (ours, tfmeta.LearnedOptimizer(updates.GradientDescent(1.0), **settings)),
        (theirs, keras.optimizers.SGD(**settings)),
    ):
        for _ in range(8):
            optimizer.apply_gradients([(tf.sin(v.value), v) for v in variables])
        assert optimizer.iterations == 8 // settings.get("gradient_accumulation_steps", 1)
    assert_same(theirs, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"gradient_accumulation_steps": 2, "use_ema": True},
    ],
)
def test_by_itself_the_rule_sets_its_rate(settings):
    ours, theirs = network(), network()
    loss = train(ours, tfmeta.LearnedOptimizer(updates.GradientDescent(0.1), **settings))
    train(theirs, keras.optimizers.SGD(0.1, **settings))
    assert_same(theirs.weights, ours.weights, rtol=1e-5, atol=1e-6)
    assert loss[-1] < loss[0]


@pytest.mark.parametrize(
    "name",
    [
        "lstm",
        pytest.param("hierarchical gru", marks=pytest.mark.slow),
        HIERARCHICAL_LSTM,
        "meta-sgd",
        *SHIPPED_SLOWLY,
    ],
)
def test_fit_does_the_steps_of_the_rule(name):
    rule, model, start = RULES[name](), network(), network()
    train(model, tfmeta.LearnedOptimizer(rule, seed=7), jit_compile=name == "lstm")
    assert_same(by_hand(rule, start, 8, seed=7), model.weights, rtol=0, atol=1e-6)
    assert np.abs(model.weights[0] - start.weights[0]).max() > 1e-4
    assert model.optimizer.iterations == 8
    assert len(model.trainable_variables) == 4


@pytest.mark.parametrize("name", ["lstm", HIERARCHICAL_LSTM, "meta-sgd", *SHIPPED_SLOWLY])
def test_a_saved_model_goes_on_as_if_it_had_never_stopped(name, tmp_path):
    model = network()
    train(model, tfmeta.LearnedOptimizer(RULES[name](), seed=3, use_ema=True), epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        go_on(one, epochs=1)
    assert loaded.optimizer.iterations == 4
    for expected, result in zip(everything(model), everything(loaded), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", EACH_RULE)
def test_the_configuration_holds_the_rule(name):
    rule = RULES[name]()
    optimizer = tfmeta.LearnedOptimizer(rule, seed=5, learning_rate=0.5, clipnorm=0.1)
    optimizer.build(network().trainable_variables)
    for parameter in rule.trainable_variables:
        parameter.assign(RANDOM.normal(size=parameter.shape))
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    restored = keras.optimizers.deserialize(config)
    assert (restored.seed, float(restored.learning_rate), restored.clipnorm) == (5, 0.5, 0.1)
    for expected, result in zip(rule.parameters(), restored.rule.parameters(), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_a_rule_not_yet_built_is_built_for_the_weights():
    optimizer = keras.optimizers.deserialize(
        keras.optimizers.serialize(tfmeta.LearnedOptimizer(updates.MetaSGD(RATE)))
    )
    train(network(), optimizer)
    assert [rates.shape for rates in optimizer.rule.parameters()] == [(3, 4), 4, (4, 1), 1]


def test_the_seed_makes_the_first_state():
    first, second, third = (
        tfmeta.LearnedOptimizer(RULES["hierarchical gru"](), seed=seed) for seed in (0, 0, 1)
    )
    for optimizer in (first, second, third):
        optimizer.build(network().trainable_variables)
    assert_same(first.variables, second.variables, rtol=0)
    with pytest.raises(AssertionError):
        assert_same(first.variables, third.variables, rtol=0)


def test_two_at_a_time_leave_one_another_alone():
    rule, models = RULES["lstm"](), (network(), network())
    for model in models:
        model.compile(optimizer=tfmeta.LearnedOptimizer(rule), loss="mse")
    for _ in range(2):
        for model in models:
            go_on(model, epochs=1)
    expected = by_hand(rule, network(), 4)
    for model in models:
        assert_same(expected, model.weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", EACH_RULE)
def test_float64_is_kept(name):
    rule = RULES[name]()
    start = [tf.constant(RANDOM.normal(size=shape)) for shape in ((2, 3), ())]
    variables = [keras.Variable(weight, dtype="float64") for weight in start]
    optimizer = tfmeta.LearnedOptimizer(rule)
    optimizer.build(variables)
    parameters = [tf.cast(parameter, "float64") for parameter in rule.parameters()]
    seed = random_numbers.fold_in(tf.constant([0, 0]), 0)
    weights, state = start, rule.initial_state(parameters, start, seed)
    for _ in range(3):
        optimizer.apply_gradients([(tf.sin(variable), variable) for variable in variables])
        gradients = [tf.sin(weight) for weight in weights]
        weights, state = rule.update(parameters, weights, gradients, state)
    assert_same(weights, variables, rtol=1e-12)


@pytest.fixture(
    params=["mixed_float16", "float64", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["adam", *SHIPPED_SLOWLY])
@pytest.mark.usefixtures("policy")
def test_every_precision_trains_and_saves(name, tmp_path):
    model = network()
    loss = train(model, tfmeta.LearnedOptimizer(RULES[name]()))
    assert loss[-1] < loss[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for expected, result in zip(everything(model), everything(loaded), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_the_first_step_may_be_in_a_graph():
    rule, model = RULES["hierarchical gru"](), network()
    optimizer = tfmeta.LearnedOptimizer(rule)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        optimizer.apply_gradients(
            zip(
                tape.gradient(loss, model.trainable_variables),
                model.trainable_variables,
                strict=True,
            )
        )

    for part in (slice(0, 8), slice(8, 16)):
        step(X[part], Y[part])
    assert_same(by_hand(rule, network(), 2), model.weights, rtol=0, atol=1e-6)


def test_frozen_layers_are_not_the_rule_s_concern():
    model = network()
    model.layers[0].trainable = False
    kernel, bias, *_ = values(model.weights)
    optimizer = tfmeta.LearnedOptimizer(RULES["lstm"]())
    train(model, optimizer)
    assert_same([kernel, bias], model.weights[:2], rtol=0)
    assert [tuple(v.shape) for v in optimizer.variables[2:]] == [(5, 3)] * 4


def test_no_gradients_are_no_step():
    optimizer = tfmeta.LearnedOptimizer(updates.GradientDescent(1.0))
    optimizer.apply([], [])
    variable = keras.Variable(tf.zeros([2]))
    optimizer.build([variable])
    optimizer.apply([], [])
    assert optimizer.iterations == 0


def test_gradients_of_the_weights_in_their_order_need_no_names():
    optimizer = tfmeta.LearnedOptimizer(updates.GradientDescent(1.0))
    with pytest.raises(ValueError, match="must already be built"):
        optimizer.apply([tf.ones([3])])
    variables = [keras.Variable(tf.zeros(shape)) for shape in ((2,), (3,))]
    optimizer.build(variables)
    optimizer.apply([tf.ones([2]), tf.ones([3])])
    assert_same([-tf.ones([2]), -tf.ones([3])], variables)
    with pytest.raises(ValueError, match="list of 1 gradients"):
        optimizer.apply([tf.ones([3])])


def test_a_layer_frozen_later_costs_the_saved_state_but_not_the_model(tmp_path):
    model, optimizer = network(), tfmeta.LearnedOptimizer(RULES["lstm"]())
    optimizer.build(model.trainable_variables)
    model.layers[0].trainable = False
    train(model, optimizer, epochs=1)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="starts afresh"):
        loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(model.weights, loaded.weights, rtol=0)
    assert np.isfinite(go_on(loaded, epochs=1)).all()


def test_an_embedding_s_rows_are_trained():
    table = keras.Variable(tf.zeros([4, 2]))
    rule = tfmeta.LearnedOptimizer(updates.Momentum(0.5))
    for _ in range(2):
        rows = tf.IndexedSlices(tf.ones([3, 2]), tf.constant([1, 3, 1]), tf.constant([4, 2]))
        rule.apply_gradients([(rows, table)])
    # The second step is 1.9 times the first.
    np.testing.assert_allclose(
        table.numpy(), [[0.0, 0.0], [-2.9, -2.9], [0.0, 0.0], [-1.45, -1.45]]
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a training, and the parameters that it chose."""
    folder = tmp_path_factory.mktemp("run")
    learner = tfmeta.OptimizerLearner(RULES["lstm"]())
    learner.compile("adam")
    learner.optimizer.build(learner.trainable_variables)
    kept = Checkpoints(folder / "checkpoints")
    kept.save_best(learner)
    best = values(learner.rule.parameters())
    learner.rule.trainable_variables[0].assign_add(tf.ones([5, 12]))
    kept.save(learner, step=2)
    return folder, best


def test_a_run_s_best_rule_trains_a_model(trained):
    folder, best = trained
    optimizer = tfmeta.load_optimizer(str(folder))
    assert_same(best, optimizer.rule.parameters(), rtol=0)
    model = network()
    train(model, optimizer)
    assert_same(by_hand(optimizer.rule, network(), 8), model.weights, rtol=0, atol=1e-6)


def test_any_checkpoint_can_be_taken(trained):
    folder, best = trained
    optimizer = tfmeta.load_optimizer(folder / "checkpoints" / "step_00000002.keras")
    np.testing.assert_allclose(optimizer.rule.parameters()[0], best[0] + 1.0)


def test_what_is_no_trained_rule_is_refused(tmp_path):
    def refused(path, match):
        with pytest.raises(tfmeta.ArgumentError, match=match) as caught:
            tfmeta.load_optimizer(path)
        assert caught.value.argument == "path"

    refused(tmp_path / "nowhere", "nowhere: there is no such checkpoint")
    refused(tmp_path, "best.keras: there is no such checkpoint")
    (tmp_path / "torn.keras").write_bytes(b"PK")
    refused(tmp_path / "torn.keras", "damaged")
    Checkpoints(tmp_path / "checkpoints").save_best(tfmeta.MAML(network()))
    refused(tmp_path, "it holds a MAML, not a trained update rule; .*train_optimizer")


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"rule": "runs/lstm"}, "rule"),
        ({"rule": updates.Adam(0.1), "seed": -1}, "seed"),
        ({"rule": updates.Adam(0.1), "seed": 0.5}, "seed"),
        ({"rule": updates.Adam(0.1), "seed": 2**63}, "seed"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, argument):
    with pytest.raises(tfmeta.ArgumentError, match=f"^{argument}="):
        tfmeta.LearnedOptimizer(**arguments)


def test_a_distribution_strategy_is_refused():
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        model = network()
        with pytest.raises(tfmeta.ArgumentError, match="MirroredStrategy: .*one replica"):
            train(model, tfmeta.LearnedOptimizer(updates.Adam(0.1)))
