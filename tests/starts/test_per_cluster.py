"""Clusters of tasks in MAML: k = 1 is plain training, clusters count once, each has its start."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

import tfmeta
from tfmeta.data.load import load_image_classes
from tfmeta.errors import ArgumentError
from tfmeta.registry import STARTS
from tfmeta.tasks.episodes import Episodes
from tfmeta.tasks.mixed import Mixed

STEPS = 4


@functools.cache  # A pipeline takes longer to build than its tasks.
def drawn(first, steps, meta_batch):
    return list(tfmeta.SixFamilies(5, 5).batches(meta_batch, first, steps))


def batches(first=0, steps=STEPS, meta_batch=12):
    dtype = keras.config.floatx()
    stacked = {
        name: tf.stack([tasks[name] for tasks in drawn(first, steps, meta_batch)])
        for name in drawn(first, steps, meta_batch)[0]
    }
    return tf.data.Dataset.from_tensor_slices(
        {n: tf.cast(t, dtype) if t.dtype.is_floating else t for n, t in stacked.items()}
    )


def maml(**arguments):
    model = tfmeta.models.mlp((2,), 1, (8,), seed=0)
    made = tfmeta.MAML(model, inner_learning_rate=0.01, vectorized=True, **arguments)
    made.compile(keras.optimizers.Adam(0.01), loss="mse")
    return made


def learner(optimizer=None, cluster_start="own", update_rule=None, inner_steps=1, **arguments):
    start = STARTS[STARTS.check("cluster_start", cluster_start)](**arguments)
    made = maml(start=start, update_rule=update_rule, inner_steps=inner_steps)
    made.compile(optimizer or keras.optimizers.Adam(0.01), loss="mse")
    return made


def form_clusters(made, pool):
    return made.start.form_clusters(made, pool)


def memberships(made, tasks):
    return made.start.memberships(made, tasks)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


@pytest.mark.parametrize(
    ("cluster_start", "average_over"),
    [
        ("own", "clusters"),
        pytest.param("shared", "tasks", marks=pytest.mark.slow),
        pytest.param("own", "tasks", marks=pytest.mark.slow),
        pytest.param("shared", "clusters", marks=pytest.mark.slow),
    ],
)
def test_one_cluster_is_plain_training(float64, cluster_start, average_over):
    plain = maml()
    clustered = learner(num_clusters=1, cluster_start=cluster_start, average_over=average_over)
    form_clusters(clustered, batches(100, 1))
    losses = [made.fit(batches(), verbose=0).history["loss"] for made in (plain, clustered)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)
    weights = [flat(made.trainable_variables) for made in (plain, clustered)]
    np.testing.assert_allclose(weights[1], weights[0], rtol=0, atol=1e-12)


def test_before_there_are_clusters_training_is_plain(float64):
    plain, clustered = maml(), learner(num_clusters=3)
    for made in (plain, clustered):
        made.fit(batches(), verbose=0)
    firsts = flat(start[0] for start in clustered.start.starts)
    np.testing.assert_allclose(firsts, flat(plain.trainable_variables), rtol=0, atol=1e-12)


def test_clusters_begin_at_their_centroids(float64):
    """At the mean of the weights adapted to their tasks, with the optimizer's memory of all."""
    rule = tfmeta.updates.LayerRates(0.01, 1)
    made = learner(clustering="label", num_clusters=6, update_rule=rule)
    made.fit(batches(), verbose=0)
    plain = keras.models.clone_model(made.model)
    plain.set_weights([start.numpy()[0] for start in made.start.starts[:4]])
    alone = tfmeta.MAML(plain, update_rule=rule)
    alone.compile(loss="mse")
    rule.set_weights([start.numpy()[0] for start in made.start.starts[4:]])
    (tasks,) = batches(100, 1, 30)
    _, labels = form_clusters(made, batches(100, 1, 30))
    adapted = [
        flat(alone.adapt(tasks["support_x"][task], tasks["support_y"][task]).get_weights())
        for task in range(30)
    ]
    for number in set(labels):
        mean = np.mean([a for a, label in zip(adapted, labels, strict=True) if label == number], 0)
        start = flat(start.numpy()[number] for start in made.start.starts[:4])
        np.testing.assert_allclose(start, mean, rtol=0, atol=1e-12)
    for variable in [*made.start.starts[4:], *made.optimizer.variables[2:]]:
        assert (variable.numpy() == variable.numpy()[:1]).all()


@pytest.mark.parametrize(
    "clustering",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("gradient", "adapted_weights")],
)
def test_signatures_tell_sets_of_images_apart(shared_data, clustering):
    """At weights that have learned nothing yet; by chance the index is 0."""
    names = ("omniglot_background_28", "quickdraw_dev270_28", "cifar_fs_trainval80x60")
    sets = [load_image_classes(f"npz:{shared_data(f'{name}.npz')}", 28, 1) for name in names]
    tasks = Mixed([Episodes(classes, 5, 1, 1) for classes in sets], names).batch(0, 0, 120)
    model = tfmeta.models.conv4((28, 28, 1), 5, filters=8, seed=0)
    start = tfmeta.starts.PerCluster(clustering, num_clusters=3)
    made = tfmeta.MAML(model, inner_learning_rate=0.1, start=start)
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    _, labels = form_clusters(made, [tasks])
    assert adjusted_rand_score(tasks["family"], labels) > 0.6


def test_the_gradient_is_the_mean_of_cluster_means(float64):
    """Unequal clusters, by the label; each task's gradient is taken by itself."""
    (tasks,) = batches(steps=1, meta_batch=15)
    sizes = np.bincount(tasks["family"], minlength=6)
    assert len(set(sizes[sizes > 0])) > 1
    plain = maml()

    @tf.function(autograph=False)
    def gradient(tasks):
        return plain.meta_gradient(tasks)[1]

    alone = np.stack(
        [flat(gradient({n: t[i : i + 1] for n, t in tasks.items()})) for i in range(15)]
    )
    family = tasks["family"].numpy()
    expected = np.mean([alone[family == number].mean(axis=0) for number in set(family)], axis=0)

    moved = {}
    for average_over in ("clusters", "tasks"):
        made = learner(
            clustering="label",
            num_clusters=6,
            cluster_start="shared",
            average_over=average_over,
            optimizer=keras.optimizers.SGD(1.0),
        )
        form_clusters(made, batches(100, 1, 60))
        before = flat(made.trainable_variables)
        made.fit(tf.data.Dataset.from_tensors(tasks), verbose=0)
        moved[average_over] = before - flat(made.trainable_variables)
    np.testing.assert_allclose(moved["clusters"], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(moved["tasks"], alone.mean(axis=0), rtol=0, atol=1e-12)


def test_a_task_trains_the_start_of_its_cluster_alone():
    made = learner(clustering="label", num_clusters=6)
    form_clusters(made, batches(100, 1, 60))
    (tasks,) = batches(steps=1)
    mine = np.argmax(memberships(made, tasks), axis=1)
    first = {name: tensor[:1] for name, tensor in tasks.items()}
    before = [start.numpy() for start in made.start.starts]
    made.fit(tf.data.Dataset.from_tensors(first), verbose=0)
    moved = [
        any(
            (new.numpy()[k] != old[k]).any()
            for new, old in zip(made.start.starts, before, strict=True)
        )
        for k in range(6)
    ]
    assert moved == [k == mine[0] for k in range(6)]


def test_a_task_trains_the_rule_of_its_cluster_alone():
    made = learner(
        clustering="label", num_clusters=6, update_rule=tfmeta.updates.LayerRates(0.01, 1)
    )
    form_clusters(made, batches(100, 1, 60))
    (tasks,) = batches(steps=1)
    mine = np.argmax(memberships(made, tasks), axis=1)
    made.fit(tf.data.Dataset.from_tensors({n: t[:1] for n, t in tasks.items()}), verbose=0)
    rates = made.start.starts[-1].numpy()
    assert rates.shape == (6, 1)
    assert np.flatnonzero(rates[:, 0] != np.float32(np.log(0.01))) == [mine[0]]


def test_a_task_goes_where_its_support_set_is_fitted_best():
    """Adapted from each start by hand, after the starts have been moved apart."""
    made = learner(num_clusters=3, routing="fit", inner_steps=2)
    form_clusters(made, batches(100, 1, 30))
    random = np.random.default_rng(0)
    for start in made.start.starts:
        start.assign_add(0.5 * random.normal(size=start.shape))
    (tasks,) = batches(steps=1)
    losses = np.zeros([12, 3])
    for number in range(3):
        model = keras.models.clone_model(made.model)
        model.set_weights([start.numpy()[number] for start in made.start.starts])
        plain = tfmeta.MAML(model, inner_learning_rate=0.01, inner_steps=2)
        plain.compile(loss="mse")
        for task in range(12):
            x, y = tasks["support_x"][task], tasks["support_y"][task]
            losses[task, number] = np.mean((plain.adapt(x, y)(x) - y) ** 2)
    assert len(set(losses.argmin(axis=1))) > 1
    np.testing.assert_array_equal(
        np.argmax(memberships(made, tasks), axis=1), losses.argmin(axis=1)
    )


def test_a_task_goes_where_it_surprises_least(float64):
    """The surprise of each start by scipy, after the starts have been moved apart."""
    rule = tfmeta.updates.GaussNewton(0.1, 1)
    made = learner(num_clusters=3, routing="evidence", update_rule=rule)
    form_clusters(made, batches(100, 1, 30))
    random = np.random.default_rng(0)
    for start in made.start.starts:
        start.assign_add(0.5 * random.normal(size=start.shape))
    (tasks,) = batches(steps=1)
    surprises = np.zeros([12, 3])
    for number in range(3):
        *weights, noise = [tf.constant(start.numpy()[number]) for start in made.start.starts]
        weights, variances = weights[:4], np.exp(weights[4:])[:, 0]
        for task in range(12):
            x, y = tasks["support_x"][task], tasks["support_y"][task]
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(weights)
                predictions, _ = made.model.stateless_call(weights, [], x)
            jacobian = [
                np.reshape(j, [5, -1])
                for j in tape.jacobian(predictions, weights, experimental_use_pfor=False)
            ]
            covariance = np.exp(noise) * np.eye(5) + sum(
                v * j @ j.T for v, j in zip(variances, jacobian, strict=True)
            )
            normal = multivariate_normal(predictions.numpy()[:, 0], covariance)
            surprises[task, number] = -normal.logpdf(y.numpy()[:, 0])
    assert len(set(surprises.argmin(axis=1))) > 1
    np.testing.assert_array_equal(
        np.argmax(memberships(made, tasks), axis=1), surprises.argmin(axis=1)
    )


def test_clusters_keep_their_numbers_when_they_are_formed_anew():
    made = learner(clustering="label", num_clusters=6)
    form_clusters(made, batches(100, 1, 60))
    (tasks,) = batches(steps=1)
    before = memberships(made, tasks)
    form_clusters(made, batches(101, 1, 60))
    np.testing.assert_array_equal(memberships(made, tasks), before)


@keras.saving.register_keras_serializable("test_clustered_maml")
def mean_and_deviation(tasks):
    y = tasks["support_y"][..., 0]
    return np.stack([y.mean(axis=1), y.std(axis=1)], axis=1)


@pytest.mark.parametrize("cluster_start", ["own", pytest.param("shared", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "clustering",
    [
        pytest.param(mean_and_deviation, marks=pytest.mark.slow),
        pytest.param("adapted_weights", marks=pytest.mark.slow),
        pytest.param("gradient", marks=pytest.mark.slow),
    ],
)
def test_a_saved_learner_goes_on_as_it_was(clustering, cluster_start, tmp_path):
    dims = {"signature_dims": 2} if callable(clustering) else {}
    made = learner(clustering=clustering, num_clusters=3, cluster_start=cluster_start, **dims)
    form_clusters(made, batches(100, 1, 30))
    made.fit(batches(), verbose=0)
    made.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    for one in (made, loaded):
        one.fit(batches(STEPS), verbose=0)
    assert made.evaluate(batches(200), verbose=0) == loaded.evaluate(batches(200), verbose=0)


def test_adapts_to_a_task_from_the_start_of_its_cluster():
    made = learner(num_clusters=3)
    form_clusters(made, batches(100, 1, 30))
    made.fit(batches(), verbose=0)
    (tasks,) = batches(200, 1)
    _, predictions = made.adapted_predictions(tasks, made.test_inner_steps)
    model = made.adapt(tasks["support_x"][4], tasks["support_y"][4])
    np.testing.assert_allclose(model(tasks["query_x"][4]), predictions[4, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"clustering": "mood"}, "clustering=mood: give one of"),
        ({"num_clusters": 0}, "num_clusters=0: give a whole number of at least 1"),
        ({"cluster_algorithm": "dbscan"}, "cluster_algorithm=dbscan: give one of"),
        ({"cluster_start": "none"}, "cluster_start=none: give one of own, shared"),
        ({"routing": "random"}, "routing=random: give one of hard, soft, fit, evidence"),
        ({"routing": "fit", "cluster_start": "shared"}, "routing=fit: one start for all"),
        ({"routing": "evidence"}, "routing=evidence: only the update rule GaussNewton"),
        ({"average_over": "ranks"}, "average_over=ranks: give one of clusters, tasks"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        learner(**arguments)


def test_more_clusters_than_tasks():
    with pytest.raises(ArgumentError, match="num_clusters=7: there are 5 tasks"):
        form_clusters(learner(num_clusters=7), batches(steps=1, meta_batch=5))


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [
        (lambda tasks: np.zeros(5), r"shape \(5,\); expected \(12, 256\)"),
        (lambda tasks: np.zeros([12, 3]), r"shape \(12, 3\); expected \(12, 256\)"),
        (lambda tasks: np.full([12, 256], np.nan), "not finite"),
    ],
)
def test_bad_signatures_of_a_user(signature, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        form_clusters(learner(clustering=signature), batches(steps=1))


def test_tasks_without_a_label():
    with pytest.raises(ArgumentError, match="clustering=label: the tasks carry no label"):
        form_clusters(
            learner(clustering="label"),
            batches(steps=1).map(lambda t: {n: t[n] for n in t if n != "family"}),
        )
