"""Keeps Python's collector of reference cycles out of the way of large reads."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """For a body that makes a million values that refer to nothing that refers back: looking through them for cycles
    again and again would take a third of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_MANY = 100_000


def put_aside() -> None:
    """Has the collector never look again through what is there now, if that has become a lot since the last time. For
    moments when nothing is under way: what is in no cycle now will be in none, and still goes when nobody needs it."""
    if gc.get_count()[0] > _MANY:
        gc.collect()
        gc.freeze()


def put_all_aside() -> None:
    """The same at once, with whatever cycles there are: for a process that is about to end, and would look through all
    it has once more."""
    gc.freeze()
