"""Families of problems whose losses are those of another family, altered."""

from tfmeta.problems.base import ProblemFamily


class Altered(ProblemFamily):
    """A family with another loss on a batch; all else is as in the family that it is made of.

    Args:
        problems: that family.
        name: what it is called in reports.
    """

    def __init__(self, problems: ProblemFamily, name: str):
        super().__init__(problems.seed)
        self.problems, self.name = problems, name
        self.metric, self.vectorizable = problems.metric, problems.vectorizable

    @property
    def type(self):
        return self.problems.type

    def tasks(self, seeds):
        return self.problems.tasks(seeds)

    def full_loss(self, weights, data):
        return self.problems.full_loss(weights, data)

    def held_out_loss(self, weights, data):
        return self.problems.held_out_loss(weights, data)

    def score(self, weights, data):
        return self.problems.score(weights, data)
