"""A watch loop over the manifests of a ``shell``, in a thread of the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mqops.bootstrap.control import current_settings, open_redis, open_stores
from reconciler.loop import Watch
from reconciler.upkeep import Upkeep


@contextmanager
def watching() -> Iterator[list[str]]:
    """Looks twice a second at ``manifests`` in the working directory; yields what it says."""
    said: list[str] = []
    settings = current_settings()
    upkeep = Upkeep(Path("manifests"), settings, partial(open_stores, settings), said.append)
    watch = Watch(upkeep, partial(open_redis, settings), 0.5)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield said
    finally:
        watch.stop()
        thread.join(20)
        assert not thread.is_alive()


def told(said: list[str], part: str) -> bool:
    """Whether it said so."""
    return any(part in line for line in said)
