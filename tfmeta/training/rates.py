"""The rate of the outer optimizer over a training."""

import keras


def rate(
    highest: float, schedule: str, updates: int, warmup: int = 0
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A rate, or a schedule of Keras's.

    Args:
        highest: the rate, once it has risen.
        schedule: `"constant"`, or whether the rate falls to zero along a `"cosine"` or a `"linear"`
            line, with the last update.
        updates: how many there will be.
        warmup: over how many of them the rate rises from zero, in a line.
    """
    falling = updates - warmup
    schedules = keras.optimizers.schedules
    match schedule:
        case "constant":
            later = highest
        case "cosine":
            later = schedules.CosineDecay(highest, falling)
        case "linear":
            later = schedules.PolynomialDecay(highest, falling, 0.0)
        case _:
            raise AssertionError(schedule)
    return Warmup(later, highest, warmup) if warmup else later


@keras.saving.register_keras_serializable("tfmeta")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises from zero in a line, and then follows a schedule from its beginning.

    Args:
        later: that schedule, or a number.
        highest: where the rise ends.
        updates: how long it takes. The first update has a rate of highest / updates.
    """

    def __init__(
        self,
        later: float | keras.optimizers.schedules.LearningRateSchedule,
        highest: float,
        updates: int,
    ):
        super().__init__()
        self.later, self.highest, self.updates = later, highest, updates

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        rising = self.highest * (step + 1.0) / self.updates
        after = self.later
        if callable(after):
            after = after(keras.ops.maximum(step - self.updates, 0.0))
        return keras.ops.where(step < self.updates, rising, after)

    def get_config(self):
        later = keras.saving.serialize_keras_object(self.later)  # a number is as it is
        return {"later": later, "highest": self.highest, "updates": self.updates}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "later": keras.saving.deserialize_keras_object(config["later"])})
