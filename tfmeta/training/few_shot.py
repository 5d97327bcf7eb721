"""The training of a few-shot learner on a task source."""

import keras

from tfmeta import distributed
from tfmeta.evaluation.few_shot import Evaluator
from tfmeta.evaluation.units import in_unit, written
from tfmeta.tasks.source import TaskSource
from tfmeta.training.loop import Progress, Trainer


class FewShotTrainer(Trainer):
    """Trains with `fit`, on the meta-batches of a source.

    Args:
        learner: built and compiled, such as `MAML`.
        source: tasks to train on.
        validation: tasks to choose the best weights by.
        meta_batch: tasks of an outer step, of all ranks together.
        validation_episodes: tasks of a validation.
    """

    def __init__(
        self,
        learner: keras.Model,
        source: TaskSource,
        validation: TaskSource,
        meta_batch: int,
        validation_episodes: int,
    ):
        self.learner = learner
        self.source = source
        self.validation = validation
        self.meta_batch = meta_batch
        self.validation_episodes = validation_episodes
        self.evaluator = Evaluator(learner, validation, learner.test_inner_steps)

    def advance(self, step, count, progress):
        progress.pause()
        history = self.learner.fit(
            self.source.batches(
                self.meta_batch, step, count, distributed.rank(), distributed.size()
            ),
            callbacks=[_Steps(step, progress)],
            verbose=0,
        ).history
        return {name: in_unit(name, float(values[-1])) for name, values in history.items()}

    def validate(self):
        return self.evaluator(self.validation_episodes).results()

    def merit(self, validation):
        return validation["accuracy"] if "accuracy" in validation else -validation["mse"]

    def headline(self, validation):
        name = "accuracy" if "accuracy" in validation else "mse"
        return written(name, validation[name], validation["ci95"])

    def images(self):
        if len(self.validation.spec.x.shape) != 3:
            return {}
        (task,) = self.validation.batches(1, steps=1)
        return {
            f"a validation task/{part}": task[f"{part}_x"][0].numpy()
            for part in ("support", "query")
        }


class _Steps(keras.callbacks.Callback):
    """Tells of each step that `fit` takes."""

    def __init__(self, first_step: int, progress: Progress):
        super().__init__()
        self.first_step = first_step
        self.progress = progress

    def on_train_batch_end(self, batch, logs=None):
        self.progress.step(self.first_step + batch, logs)
        self.model.stop_training = self.progress.stopping
