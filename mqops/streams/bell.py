"""The bell: publishing rings it where readers had run dry. A ring may be dropped; nothing depends on hearing it."""

import logging
from collections.abc import Callable

from mqops.streams.connection import Connection

log = logging.getLogger(__name__)

Ring = tuple[int, str, int]
"""Bucket, subscription uid, partition."""


class Bell:
    """Listens on a connection of its own. Callbacks run in the loop and must return at once."""

    def __init__(self, connection: Connection, channel: str) -> None:
        self._connection = connection
        self._channel = channel
        self._on_ring: list[Callable[[list[Ring]], None]] = []
        self._on_resync: list[Callable[[], None]] = []
        self._on_timer: list[Callable[[int], None]] = []
        connection.on_message = self._heard
        connection.on_up = self._resync

    async def start(self) -> None:
        await self._connection.start(self._channel)

    def on_ring(self, callback: Callable[[list[Ring]], None]) -> None:
        """``callback`` is told of lanes that have work again."""
        self._on_ring.append(callback)

    def on_timer(self, callback: Callable[[int], None]) -> None:
        """``callback`` is told of a bucket in which something is due earlier than all else was."""
        self._on_timer.append(callback)

    def on_resync(self, callback: Callable[[], None]) -> None:
        """``callback`` is called after every (re)connect: rings may have been missed, look everywhere."""
        self._on_resync.append(callback)

    def _heard(self, _channel: str, text: str) -> None:
        bucket, *lanes = text.split(" ")
        if lanes[0].startswith("@"):
            for told in self._on_timer:
                told(int(bucket))
            return
        rings: list[Ring] = []
        for lane in lanes:
            subscription, _, partition = lane.rpartition(":")
            rings.append((int(bucket), subscription, int(partition)))
        for callback in self._on_ring:
            callback(rings)

    def _resync(self) -> None:
        for callback in self._on_resync:
            callback()
