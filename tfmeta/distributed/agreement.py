"""Ranks that do not do the same are told so in a sentence, rather than waiting for each other."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tfmeta.distributed import trouble
from tfmeta.distributed.collectives import gather_objects
from tfmeta.distributed.world import rank, size
from tfmeta.errors import ArgumentError, RanksError

# How long a rank waits for the others to begin what it begins.
_SECONDS_TO_MEET = 40.0
_SECONDS_TO_ANSWER = 5.0
_REMEDY = (
    "let every rank call the same, with as many meta-batches, and none alone; what one rank does "
    "by itself, such as a callback, must neither stop a training nor evaluate."
)


@contextlib.contextmanager
def together(doing: str) -> Iterator[None]:
    """What all ranks do within the context, and how the sentence names it if one does not.

    Collectives have one name and differ in shape, so that Horovod refuses any two that do not
    belong together at once.

    Raises:
        RanksError: another rank does something else, or has ended.
    """
    try:
        yield
    except Exception as error:
        problem = explained(error, doing)
        if problem is None:
            raise
        raise problem from None


def explained(error: BaseException, doing: str) -> RanksError | None:
    """The sentence for an error of Horovod's; None for any other.

    Where ranks do different things, they tell each other what: all of them call this.
    """
    if trouble.ended(error):
        return RanksError(
            f"rank {rank()} cannot go on with {doing}, since another rank has ended; {_REMEDY}",
            of_another=True,
        )
    if not trouble.disagree(error):
        return None
    try:
        of_all = _within(_SECONDS_TO_ANSWER, lambda: gather_objects(doing))
    except Exception:
        of_all = None
    if of_all is None:
        return RanksError(f"while rank {rank()} does {doing}, others do not; {_REMEDY}")
    return RanksError(f"the ranks do not do the same: {_by_rank(of_all)}; {_REMEDY}")


def agree(doing: str, facts: Mapping[str, str | None]) -> None:
    """All ranks begin the same, on the same terms; each calls this before it begins.

    Args:
        doing: what they begin.
        facts: what has to be the same everywhere, by the name of the argument that it follows
            from; None where a rank does not know.

    Raises:
        RanksError: not every rank begins this, within 40 seconds.
        ArgumentError: a fact differs between ranks; all of them raise it.
    """
    if size() == 1:
        return
    with together(doing):
        of_all = _within(_SECONDS_TO_MEET, lambda: gather_objects((doing, dict(facts))))
    if of_all is None:
        raise RanksError(
            f"rank {rank()} has waited {_SECONDS_TO_MEET:.0f} seconds for the others to begin "
            f"{doing}; {_REMEDY}"
        )
    begun = [name for name, _ in of_all]
    if len(set(begun)) > 1:
        raise RanksError(f"the ranks do not begin the same: {_by_rank(begun)}; {_REMEDY}")
    for argument in facts:
        known = {
            number: facts[argument]
            for number, (_, facts) in enumerate(of_all)
            if facts.get(argument) is not None
        }
        first = min(known, default=0)
        for number, fact in known.items():
            if fact != known[first]:
                raise ArgumentError(
                    argument,
                    known[first],
                    f"rank {first} has that, but rank {number} has {fact}; give all ranks the same "
                    f"for {doing}.",
                )


def _by_rank(doings: list[str]) -> str:
    return ", ".join(f"rank {number} is at {doing}" for number, doing in enumerate(doings))


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """What the function gives, or None if that takes longer; it is left alone then."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    return outcome[0] if outcome else None
