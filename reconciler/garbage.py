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
