"""Horovod, in one place: the only package of the library that imports it.

Alone in a process every function here does nothing, so that single-process work needs no Horovod.
A program that `horovodrun` starts calls `init()` once, before it builds anything; importing this
package there arranges that one rank alone tells of an exception that nobody catches.
"""

from tfmeta.distributed.agreement import agree, explained, together
from tfmeta.distributed.collectives import (
    broadcast,
    gather,
    gather_objects,
    on_main,
    sum_over_ranks,
)
from tfmeta.distributed.ending import speak_once
from tfmeta.distributed.share import chunks, share
from tfmeta.distributed.stopping import stop_agreed
from tfmeta.distributed.world import init, is_main, rank, size
from tfmeta.environment.launch import launched_size

__all__ = [
    "agree",
    "broadcast",
    "chunks",
    "explained",
    "gather",
    "gather_objects",
    "init",
    "is_main",
    "on_main",
    "rank",
    "share",
    "size",
    "stop_agreed",
    "sum_over_ranks",
    "together",
]

if launched_size() > 1:
    speak_once()
