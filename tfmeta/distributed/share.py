"""Which part of many tasks belongs to which rank."""


def share(count: int, rank: int, ranks: int) -> range:
    """The part of `range(count)` that belongs to one rank.

    The parts of all ranks follow one another and differ in size by at most one; the first ranks
    get the larger ones.
    """
    size, rest = divmod(count, ranks)
    first = rank * size + min(rank, rest)
    return range(first, first + size + (rank < rest))


def chunks(mine: range, size: int) -> list[tuple[int, int]]:
    """The first and the one after the last of pieces of a share, of at most `size` tasks each."""
    return [(first, min(first + size, mine.stop)) for first in range(mine.start, mine.stop, size)]
