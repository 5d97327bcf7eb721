"""Every kind of thing that users choose by name, and the members of each kind.

A new member is one file and one row here: flags, error messages and the tests of all members of a
kind follow from the row. A row says where its member is, and the member is imported when it is
looked up. So the names can be known before TensorFlow is imported: bad input and `--help` end fast.
That is also why the rows stand together, in a module that imports no libraries, and not in the
packages of their members, whose own imports would bring TensorFlow along.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfmeta.checks import check_choice


class Registry(Mapping[str, Any]):
    """The members of one kind by name. A member is imported when it is looked up.

    Names keep the order of the rows; the first is that of the usual choice.

    Args:
        rows: where each member is, as `"module:attribute"`, by name.
    """

    def __init__(self, rows: Mapping[str, str]):
        self.rows = dict(rows)

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self.rows[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def check(self, argument: str, name: Any) -> str:
        """Returns `name` if it is the name of a member.

        Args:
            argument: what the error is to call it.
            name: any value.

        Raises:
            ArgumentError: there is no member of that name. The sentence lists the names.
        """
        return check_choice(argument, name, self)

    def name_of(self, member: type) -> str:
        """The name of a member that is a class.

        Raises:
            KeyError: it is no member.
        """
        place = f"{member.__module__}:{member.__qualname__}"
        for name, row in self.rows.items():
            if row == place:
                return name
        raise KeyError(place)


# Few-shot learning: where tasks come from, what learns from them, where a task begins.

SOURCES = Registry(
    {
        "sinusoid": "tfmeta.tasks.sinusoid:Sinusoids",
        "six_families": "tfmeta.tasks.six_families:SixFamilies",
    }
)
LOADERS = Registry(
    {
        "glyphs": "tfmeta.data.glyphs:load_glyphs",
        "tfds": "tfmeta.data.tfds:load_tfds",
        "folder": "tfmeta.data.folder:load_folder",
        "npz": "tfmeta.data.npz:load_npz",
    }
)
LEARNERS = Registry(
    {
        "maml": "tfmeta.learners.maml:MAML",
        "anil": "tfmeta.learners.anil:ANIL",
        "reptile": "tfmeta.learners.reptile:Reptile",
    }
)
STARTS = Registry(
    {
        "own": "tfmeta.starts.per_cluster:PerCluster",
        "shared": "tfmeta.starts.clustered:SharedAcrossClusters",
    }
)

# How weights move in an inner step. Optimizers are rules that, once learned, train any network.

OPTIMIZERS = Registry(
    {
        "lstm": "tfmeta.updates.lstm:CoordinatewiseLSTM",
        "hierarchical_rnn": "tfmeta.updates.hierarchical_rnn:HierarchicalRNN",
    }
)
RULES = Registry(
    {
        "gradient_descent": "tfmeta.updates.gradient_descent:GradientDescent",
        "momentum": "tfmeta.updates.momentum:Momentum",
        "nesterov": "tfmeta.updates.nesterov:Nesterov",
        "rmsprop": "tfmeta.updates.rmsprop:RMSprop",
        "adam": "tfmeta.updates.adam:Adam",
        "adamw": "tfmeta.updates.adamw:AdamW",
        "meta_sgd": "tfmeta.updates.meta_sgd:MetaSGD",
        "layer_rates": "tfmeta.updates.layer_rates:LayerRates",
        "gauss_newton": "tfmeta.updates.gauss_newton:GaussNewton",
        **OPTIMIZERS.rows,
    }
)

# Clusters: what tasks, or problems, are clustered by, how, and what cluster a task is given to.

SIGNATURES = Registry(
    {
        "gradient": "tfmeta.clustering.signatures.gradient:Gradient",
        "adapted_weights": "tfmeta.clustering.signatures.adapted_weights:AdaptedWeights",
        "label": "tfmeta.clustering.signatures.label:Label",
    }
)
PROBLEM_SIGNATURES = Registry(
    {
        "type": "tfmeta.training.problem_clusters:TYPE",
        "gradient": "tfmeta.training.problem_clusters:GRADIENT",
        "label": "tfmeta.training.problem_clusters:LABEL",
    }
)
ALGORITHMS = Registry(
    {
        "kmeans": "tfmeta.clustering.algorithms:kmeans",
        "agglomerative": "tfmeta.clustering.algorithms:agglomerative",
        "gaussian_mixture": "tfmeta.clustering.algorithms:gaussian_mixture",
    }
)
ROUTINGS = Registry(
    {
        "hard": "tfmeta.clustering.routing:HARD",
        "soft": "tfmeta.clustering.routing:SOFT",
        "fit": "tfmeta.clustering.routing:FIT",
        "evidence": "tfmeta.clustering.routing:EVIDENCE",
    }
)

# Which rank trains which problems, how their training is cut into unrolls, what an unroll is judged
# by, how the gradient of that is found, and what happens to the rule within a cluster.

PACKINGS = Registry(
    {
        "split": "tfmeta.scheduling.schedule:split",
        "whole": "tfmeta.scheduling.schedule:whole",
    }
)
TRUNCATIONS = Registry(
    {
        "fixed": "tfmeta.scheduling.truncation:FixedUnrolls",
        "random_horizon": "tfmeta.scheduling.truncation:RandomHorizons",
        "random": "tfmeta.scheduling.truncation:RandomUnrolls",
    }
)
META_LOSSES = Registry(
    {
        "sum": "tfmeta.learners.meta_losses:SumOfLosses",
        "log_ratio": "tfmeta.learners.meta_losses:LogRatio",
        "last_log_ratio": "tfmeta.learners.meta_losses:LastLogRatio",
    }
)
ESTIMATORS = Registry(
    {
        "truncated": "tfmeta.learners.estimators:TruncatedGradient",
        "noise_reuse": "tfmeta.learners.estimators:NoiseReuse",
    }
)
CLUSTER_UPDATES = Registry(
    {
        "accumulate": "tfmeta.learners.truncated_training:TruncatedTraining",
        "update": "tfmeta.learners.averaged_copies:AveragedCopies",
    }
)

REGISTRIES = {name: value for name, value in vars().items() if isinstance(value, Registry)}
