"""Work on many things by several threads."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def in_order(make: Callable[[_Given], _Made], items: Iterable[_Given]) -> Iterator[_Made]:
    """What `make` makes of each item, in their order, with few of them at a time in memory.

    Threads help where `make` releases Python's global lock, as Pillow does while it decodes and
    resizes.
    """
    threads = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[concurrent.futures.Future[_Made]] = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) == 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Where one fails, nobody wants the others.
            pool.shutdown(wait=True, cancel_futures=True)
