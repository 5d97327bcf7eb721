"""Horovod, in one place: the only package of the library that imports it.

Alone in a process every function here does nothing, so that single-process work needs no Horovod.
A program that `horovodrun` starts calls `init()` once, before it builds anything.
"""

from tfmeta.distributed.collectives import broadcast, gather, gather_objects, sum_over_ranks
from tfmeta.distributed.share import chunks, share
from tfmeta.distributed.world import init, is_main, rank, size

__all__ = [
    "broadcast",
    "chunks",
    "gather",
    "gather_objects",
    "init",
    "is_main",
    "rank",
    "share",
    "size",
    "sum_over_ranks",
]
