"""Lines for the log about deliveries, at a bounded rate: a receiver that is down fails a thousand times a second.

A line names the subscription and what happened, never a payload, a secret or what a receiver answered.
"""

import logging
import time
from dataclasses import dataclass

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
"""How long a subscription says nothing after a line; what happens meanwhile is counted."""


@dataclass(slots=True)
class _Subject:
    """What is unsaid about a subscription."""

    spoke_at: float
    unsaid: int = 0
    latest: str = ""


class Report:
    """Reports for any number of subscriptions."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}

    def note(self, subscription: str, line: str) -> None:
        """Something notable happened to a message of ``subscription`` (``tenant/name``)."""
        subject = self._subjects.get(subscription)
        if subject is None:
            self._subjects[subscription] = _Subject(time.monotonic())
            log.warning("%s: %s", subscription, line)
            return
        subject.unsaid += 1
        subject.latest = line

    def flush(self) -> None:
        """Say what was held back for long enough; call it about once a second."""
        now = time.monotonic()
        for subscription, subject in list(self._subjects.items()):
            if now - subject.spoke_at < QUIET_SECONDS:
                continue
            if not subject.unsaid:
                del self._subjects[subscription]
                continue
            self._say(subscription, subject)
            subject.spoke_at, subject.unsaid = now, 0

    def finish(self) -> None:
        """Say everything that was held back."""
        for subscription, subject in self._subjects.items():
            if subject.unsaid:
                self._say(subscription, subject)
        self._subjects.clear()

    @staticmethod
    def _say(subscription: str, subject: _Subject) -> None:
        more = f" (and {subject.unsaid - 1} more like it)" if subject.unsaid > 1 else ""
        log.warning("%s: %s%s", subscription, subject.latest, more)
