"""What a handler can say of a message. Nothing is settled here: ``delivery.settlement`` makes of it what Redis is told.

``brief`` is fit for a log: it never holds a payload, a secret or what a receiver answered. ``excerpt`` may quote the
receiver, and goes to the dead letter alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The message is handled."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not work this time; trying again may."""

    brief: str
    excerpt: str = ""
    retry_after_ms: int | None = None
    """When the receiver asked to be tried again, from now."""

    @property
    def detail(self) -> str:
        return detail_of(self.brief, self.excerpt)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The receiver will never take it: there is no point in trying again."""

    brief: str
    excerpt: str = ""

    @property
    def detail(self) -> str:
        return detail_of(self.brief, self.excerpt)


Outcome = Succeeded | Failed | Rejected


def detail_of(brief: str, excerpt: str) -> str:
    """What a dead letter says of the failure."""
    return f"{brief}: {excerpt}" if excerpt else brief
