"""The flags of the network, and the network, loss and metrics for tasks of a kind."""

from typing import Any

from absl import flags

from tfmeta.tools.options.build import refuse
from tfmeta.tools.program import define_count

FLAGS = flags.FLAGS
SUBJECT = "The network"

define_count("filters", 64, 1, "Filters of each convolution.")
define_count("hidden", 40, 1, "Units of each of the two hidden layers, in regression.")
flags.DEFINE_bool("max_pool", False, "Halve images by max-pooling (mini-ImageNet), not by strides.")
flags.DEFINE_enum(
    "batch_norm",
    "transductive",
    ["transductive", "support", "running"],
    "Batch normalization of a query set by its own statistics, by those of the support set, or by "
    "running averages.",
)
flags.DEFINE_enum(
    "dtype_policy", "float32", ["float32", "mixed_bfloat16", "float64"], "Keras's dtype policy."
)

NAMES = ("filters", "hidden", "max_pool", "batch_norm", "dtype_policy")


def network(spec):
    """The Keras model for tasks: of vectors a dense one, of images a convolutional one.

    Args:
        spec: the `TaskSpec`.

    Raises:
        ArgumentError: a flag of the other network is given.
    """
    shape = tuple(spec.x.shape)
    dense = len(shape) == 1
    useless = f"the network of --dataset={FLAGS.dataset} has no use for it; leave it out."
    refuse(("filters", "max_pool", "batch_norm") if dense else ("hidden",), useless)

    import keras

    from tfmeta.models import conv4, mlp

    keras.config.set_dtype_policy(FLAGS.dtype_policy)
    if FLAGS.dtype_policy == "float64":
        keras.config.set_floatx("float64")  # the dtype of losses
    if dense:
        return mlp(shape, spec.outputs, hidden=(FLAGS.hidden,) * 2, seed=FLAGS.seed)
    return conv4(
        shape,
        spec.outputs,
        filters=FLAGS.filters,
        max_pool=FLAGS.max_pool,
        batch_norm=FLAGS.batch_norm,
        seed=FLAGS.seed,
    )


def losses(spec) -> dict[str, Any]:
    """Loss and metrics for tasks of the kind that the `TaskSpec` says, as `compile` takes them."""
    import keras

    if spec.kind == "regression":
        return {"loss": "mse", "metrics": ["mse"]}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"loss": loss, "metrics": ["accuracy"]}
