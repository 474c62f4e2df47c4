"""An operator's word that goes before what a subscription declares as its ``state``.

It is no configuration: it is kept in ``mq_runtime``, works on what a source owns, and ends when it is taken back or its
time is up. Plain data, for both planes: time comes in as an argument.
"""

from typing import Literal

import msgspec

State = Literal["active", "paused"]

MAX_PAUSE_MS = 366 * 86_400_000
"""The longest that one may be given for; without an end there is no limit."""

_WORDS: dict[State, str] = {"active": "resumed", "paused": "paused"}


class Override(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an operator wants of one subscription."""

    state: State
    by: str
    """Who: ``tenant/principal``."""
    since_ms: int
    """Milliseconds since 1970, as ``until_ms``."""
    reason: str = ""
    until_ms: int | None = None
    """When it ends by itself; None for not at all."""

    @property
    def word(self) -> str:
        """What was done: ``paused`` or ``resumed``."""
        return _WORDS[self.state]

    def holds(self, now_ms: int) -> bool:
        """Whether its time is not up."""
        return self.until_ms is None or now_ms < self.until_ms
