"""How often an address failed to say who it is: past a limit it is told to wait.

A token bucket for each address: as many failures at once as the limit allows in a minute, and that many more in each
minute that follows. A good key is never refused for what others at the same address have sent: only guessing is slowed
down, and whoever repeats a mistake is told how long to leave it.
"""

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

MAX_ADDRESSES = 10_000
"""Of those that failed lately; who failed longest ago is forgotten first."""
_MINUTE_SECONDS = 60.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    """When ``left`` was so."""
    told_at: float = -math.inf
    """When the log was told of it."""


class Failures:
    """Counts for one process. ``clock`` is in seconds."""

    def __init__(self, limit_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def note(self, host: str) -> float:
        """A failure from ``host``. Answers how many seconds it has to wait when it was one too many, else 0."""
        bucket = self._filled(_address(host))
        if bucket.left >= 1:
            bucket.left -= 1
            return 0.0
        if bucket.at - bucket.told_at >= _MINUTE_SECONDS:
            log.warning("more than %d failed sign-ins a minute from %s", self._limit, host or "the socket")
            bucket.told_at = bucket.at
        return self._wait(bucket)

    def wait(self, host: str) -> float:
        """How many seconds it is until another failure of ``host`` would be within the limit; 0 for none."""
        address = _address(host)
        return self._wait(self._filled(address)) if address in self._buckets else 0.0

    def _filled(self, address: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = _Bucket(self._limit, now)
            if len(self._buckets) >= MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets[address] = bucket
        bucket.left = min(self._limit, bucket.left + (now - bucket.at) * self._limit / _MINUTE_SECONDS)
        bucket.at = now
        return bucket

    def _wait(self, bucket: _Bucket) -> float:
        return 0.0 if bucket.left >= 1 else (1 - bucket.left) * _MINUTE_SECONDS / self._limit


def _address(host: str) -> str:
    """Whom ``host`` counts as: of IPv6 a whole /64, which is what one subscriber has."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(int(address) >> 64)
