"""Few-shot tasks and where they come from.

A task has a support set, to adapt to, and a query set, to be tested on. A `TaskSource` makes tasks
from addresses, and its `TaskSpec` says what they look like. Import from the modules: names are
known without TensorFlow, members are not.
"""
