"""The picture of a run is a whole PNG file, for every kind of run."""

import numpy as np
import pytest
from PIL import Image

from tfmeta.reports import run as report


def result(measure, inner_steps):
    before, after = (20.0, 80.0) if measure == "accuracy" else (4.0, 0.2)
    by_step = np.linspace(before, after, inner_steps + 1).tolist()
    return {
        "loss": 0.5,
        measure: after,
        f"{measure}_before": before,
        "ci95": 0.05,
        f"{measure}_by_step": by_step,
        "ci95_by_step": [0.05] * len(by_step),
    }


def rows(count, measure, inner_steps=3):
    training = {"loss": 0.6, "accuracy": 0.7} if measure == "accuracy" else {"loss": 0.6}
    return [
        {"step": 100 * i, "training": training, "validation": result(measure, inner_steps)}
        for i in range(1, count + 1)
    ]


def image_episodes(tasks, ways, shots, queries, size, channels):
    rng = np.random.default_rng(0)

    def images(of_each):
        shape = [tasks, ways * of_each, size, size, channels]
        return rng.uniform(size=shape).astype(np.float32)

    def labels(of_each):
        return np.tile(np.repeat(np.arange(ways, dtype=np.int32), of_each), [tasks, 1])

    prediction = rng.normal(size=[tasks, ways * queries, ways]).astype(np.float32)
    return {
        "support_x": images(shots),
        "support_y": labels(shots),
        "query_x": images(queries),
        "query_y": labels(queries),
        "seed": np.zeros([tasks, 2], np.int32),
        "before": prediction,
        "prediction": prediction,
    }


def function_episodes(tasks, shots, queries):
    rng = np.random.default_rng(0)
    support_x, query_x = (rng.uniform(-5, 5, [tasks, n, 1]) for n in (shots, queries))
    return {
        "support_x": support_x,
        "support_y": np.sin(support_x),
        "query_x": query_x,
        "query_y": np.sin(query_x),
        "seed": np.zeros([tasks, 2], np.int32),
        "before": np.zeros_like(query_x),
        "prediction": 0.9 * np.sin(query_x),
    }


def drawn(folder, *arguments, **named):
    """The picture, after a look that nothing but it lies in its folder."""
    path = folder / "report.png"
    report.draw(path, *arguments, **named)
    assert list(folder.iterdir()) == [path]
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        picture.load()
        return np.asarray(picture.convert("RGB"))


def looks_right(picture):
    height, width, _ = picture.shape
    return 1200 <= width <= 3000 and 400 <= height <= 3000 and 0.01 < (picture < 250).mean() < 0.9


@pytest.mark.parametrize(("tasks", "channels"), [(3, 1), (1, 3)], ids=["gray", "color"])
def test_classification(tmp_path, tasks, channels):
    episodes = image_episodes(tasks, ways=5, shots=1, queries=15, size=28, channels=channels)
    picture = drawn(tmp_path, rows(8, "accuracy"), result("accuracy", 3), episodes, title="MAML")
    assert looks_right(picture)
    gray = (picture.max(axis=-1).astype(int) - picture.min(axis=-1) < 20).mean()
    assert (gray < 0.95) == (channels == 3)


@pytest.mark.parametrize(("tasks", "queries"), [(3, 50), (1, 5)])
def test_regression(tmp_path, tasks, queries):
    episodes = function_episodes(tasks, shots=5, queries=queries)
    assert looks_right(drawn(tmp_path, rows(8, "mse", 10), result("mse", 10), episodes))


@pytest.mark.parametrize(("count", "measure"), [(1, "accuracy"), (500, "mse")])
def test_any_number_of_validations(tmp_path, count, measure):
    assert looks_right(drawn(tmp_path, rows(count, measure, 1), result(measure, 1), title="MAML"))


def test_large_episodes_are_cut_to_what_can_be_told_apart(tmp_path):
    episodes = image_episodes(tasks=2, ways=20, shots=6, queries=15, size=84, channels=3)
    assert looks_right(drawn(tmp_path, rows(2, "accuracy"), result("accuracy", 3), episodes))


def test_interval_of_a_single_task_is_left_out(tmp_path):
    unknown = {"ci95": float("nan"), "ci95_by_step": [float("nan")] * 4}
    validation = result("accuracy", 3) | unknown
    only = [{"step": 1, "training": {"accuracy": 0.5}, "validation": validation}]
    assert looks_right(drawn(tmp_path, only, validation))


def test_picture_takes_the_place_of_an_earlier_one(tmp_path):
    (tmp_path / "report.png").write_bytes(b"earlier")
    assert looks_right(drawn(tmp_path, rows(1, "mse"), result("mse", 3)))


def test_nothing_is_left_of_a_picture_that_cannot_be_drawn(tmp_path):
    with pytest.raises(KeyError):
        report.draw(tmp_path / "report.png", rows(1, "mse"), {})
    assert list(tmp_path.iterdir()) == []


def test_validation_in_which_a_task_diverged_leaves_a_gap(tmp_path):
    diverged = rows(4, "mse")
    diverged[1]["validation"] |= {"mse": float("inf"), "ci95": float("nan")}
    results = result("mse", 3)
    results["mse_by_step"][2] = float("inf")
    assert looks_right(drawn(tmp_path, diverged, results))


@pytest.mark.parametrize("title", [r"MAML on folder:$\frac$", "MAML on folder:caf\udce9"])
def test_titles_with_paths_of_any_kind(tmp_path, title):
    """Dollar signs, which begin formulas, and names that are no UTF-8."""
    assert looks_right(drawn(tmp_path, rows(1, "mse"), result("mse", 3), title=title))
