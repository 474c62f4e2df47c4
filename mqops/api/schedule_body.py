"""The bodies that say when: a request to publish with a delay or a time, and another time for what waits."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from mqops.api.edge import decode
from mqops.api.publish_body import NamingBody
from mqops.api.timestamps import now_ms
from mqops.errors import InvalidRequest
from mqops.streams import When

LONGEST_MS = 366 * 86_400_000
"""A year, whichever."""

Delay = Annotated[int, Meta(ge=0, le=LONGEST_MS)]
Time = Annotated[datetime, Meta(tz=True)]
_EPOCH = datetime.fromtimestamp(0, UTC)


class DelayedBody(NamingBody, forbid_unknown_fields=True, kw_only=True, rename={"delay_ms": "delayMs"}):
    """Messages for later: so many milliseconds from when the server takes them."""

    delay_ms: Delay

    @property
    def when(self) -> When:
        """When they are due."""
        return When(True, self.delay_ms)


class ScheduledBody(NamingBody, forbid_unknown_fields=True, kw_only=True, rename={"scheduled_at": "scheduledAt"}):
    """Messages for a time (RFC 3339, within a year). What has passed is due at once: a repeated request may be late."""

    scheduled_at: Time

    @property
    def when(self) -> When:
        """When they are due. Raises ``InvalidRequest`` for what is too far away."""
        return _at(self.scheduled_at)


class RescheduleBody(Struct, forbid_unknown_fields=True, rename="camel"):
    """Another time for what waits: one of both."""

    delay_ms: Delay | None = None
    scheduled_at: Time | None = None

    @property
    def when(self) -> When:
        """Raises ``InvalidRequest`` unless it says exactly one time, within a year."""
        if self.scheduled_at is not None and self.delay_ms is None:
            return _at(self.scheduled_at)
        if self.delay_ms is not None and self.scheduled_at is None:
            return When(True, self.delay_ms)
        raise InvalidRequest("say exactly one of delayMs and scheduledAt")


_delayed_decoder = msgspec.json.Decoder(DelayedBody)
_scheduled_decoder = msgspec.json.Decoder(ScheduledBody)
_reschedule_decoder = msgspec.json.Decoder(RescheduleBody)


def read_delayed_body(body: bytes) -> DelayedBody:
    """Raises ``InvalidRequest`` and ``SerializationFailed``; so do the others."""
    return decode(_delayed_decoder, body)


def read_scheduled_body(body: bytes) -> ScheduledBody:
    return decode(_scheduled_decoder, body)


def read_reschedule_body(body: bytes) -> RescheduleBody:
    return decode(_reschedule_decoder, body)


def _at(time: datetime) -> When:
    milliseconds = max(0, (time - _EPOCH) // timedelta(milliseconds=1))
    if milliseconds > now_ms() + LONGEST_MS:
        raise InvalidRequest("scheduledAt is at most a year away")
    return When(False, milliseconds)
