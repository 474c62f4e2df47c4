"""Which partition a message goes to.

1. the partition that the publisher names;
2. else by key: CRC-32 (ISO-HDLC, as in zlib) of the key's UTF-8 bytes, modulo the number of partitions, so that
   one key stays in one partition, whoever publishes it;
3. else by the idempotency token in the same way, so that a repeated request aims where the first one did;
4. else round robin, by process.
"""

import zlib

from mqops.errors import InvalidRequest


class Partitioner:
    """Chooses; its state is where round robin stands."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, partitions: int, explicit: int | None, key: str | None, token: str) -> int:
        """A number below ``partitions``. Raises ``InvalidRequest`` for an explicit one that is not."""
        if explicit is not None:
            if not 0 <= explicit < partitions:
                raise InvalidRequest(f"partition {explicit} does not exist: there are {partitions}, counted from 0")
            return explicit
        if partitions == 1:
            return 0
        if key is not None:
            return partition_of_key(key, partitions)
        if token:
            return partition_of_key(token, partitions)
        self._next += 1
        return self._next % partitions


def partition_of_key(key: str, partitions: int) -> int:
    """The partition that ``key`` stays in."""
    return zlib.crc32(key.encode()) % partitions
