"""The picture of a comparison is a whole PNG file, whatever families there are."""

import numpy as np
import pytest
from PIL import Image

from tfmeta.evaluation.comparison import Comparison
from tfmeta.evaluation.hand_designed import HAND_DESIGNED
from tfmeta.evaluation.loss_curves import Curves
from tfmeta.evaluation.tuning import Found
from tfmeta.reports import optimizers as optimizer_report

NAMES = ["learned", *HAND_DESIGNED]


def comparison(family, metric=None, bad=1.0):
    steps = np.arange(11)
    runs = {}
    for number, name in enumerate(NAMES):
        losses = np.exp(-0.3 * number * steps) * np.array([[1.0], [2.0], [3.0]])
        losses[0, 5:] *= bad if name == "learned" else 1.0
        runs[name] = Curves(steps, losses, losses, 1 / (1 + losses))
    tuned = {name: Found({}, -number, []) for number, name in enumerate(HAND_DESIGNED)}
    return Comparison(family, "Bowls", metric, runs, tuned)


@pytest.mark.parametrize(
    ("comparisons", "rows"),
    [
        ([comparison("bowl")], 1),
        ([comparison("bowl"), comparison("ackley")], 1),
        ([comparison("bowl"), comparison("softmax_10", "accuracy"), comparison("ackley")], 3),
        ([comparison("bowl", bad=np.inf)], 1),
        ([comparison("softmax_10", "accuracy", bad=np.nan)], 1),
    ],
)
@pytest.mark.filterwarnings("error")
def test_picture(tmp_path, comparisons, rows):
    optimizer_report.draw(tmp_path / "picture.png", comparisons, "LSTM")
    with Image.open(tmp_path / "picture.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.height / picture.width == pytest.approx(rows * 3.8 / 12, rel=0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
