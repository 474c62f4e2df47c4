"""Times in answers: RFC 3339, UTC, to the millisecond."""

import time
from functools import lru_cache


def format_ms(milliseconds: int) -> str:
    """``2026-01-31T09:30:00.250Z`` for milliseconds since 1970."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_seconds(seconds)}.{rest:03d}Z"


def now_ms() -> int:
    """Milliseconds since 1970, by this machine's clock."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=1024)
def _seconds(seconds: int) -> str:
    """Many times in one answer, and many answers, fall into the same second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
