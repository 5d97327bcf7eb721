"""What TensorBoard reads of a run."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from tfmeta.training.events import Events


def row(step, accuracy):
    validation = {"accuracy": accuracy, "by_step": [1.0, 2.0], "families": {"bowl": {"loss": 2.0}}}
    return {"step": step, "seconds": 1.5 * step, "validation": validation}


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {
        tag: [(e.step, tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def test_curves_flags_and_images(tmp_path):
    images = np.random.default_rng(0).uniform(size=(5, 8, 6, 1))
    events = Events(tmp_path, [], ["--steps=4", "--seed=1"], {"task": images})
    events.write(row(2, 43.0))
    events.write(row(4, 54.5))
    read_back = read(tmp_path)
    assert read_back.keys() == {
        *("seconds", "validation/accuracy", "validation/families/bowl/loss"),
        *("flags", "task"),
    }
    assert read_back["validation/accuracy"] == [(2, 43.0), (4, 54.5)]
    assert read_back["seconds"] == [(2, 3.0), (4, 6.0)]
    assert b"--seed=1" in read_back["flags"][0][1].item()
    width, height, *pictures = read_back["task"][0][1]
    assert (int(width), int(height), len(pictures)) == (6, 8, 5)


def test_a_run_that_goes_on_tells_each_step_once(tmp_path):
    events = Events(tmp_path, [], [], {})
    for step in (2, 4, 6):
        events.write(row(step, 10.0 * step))
    # It was killed before the last checkpoint.
    events = Events(tmp_path, [row(2, 20.0), row(4, 40.0)], [], {})
    events.write(row(6, 61.0))
    assert read(tmp_path)["validation/accuracy"] == [(2, 20.0), (4, 40.0), (6, pytest.approx(61.0))]
