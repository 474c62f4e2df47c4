"""What a request wants published, and a publication on its way."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from mqops.access import Caller
from mqops.api.message_body import MessageBody
from mqops.api.publish_body import DEFAULT_OPTIONS, Options
from mqops.catalog import TopicEntry
from mqops.streams import NotStored, Outcome, Reason, When

_WORTH_A_LOOK = frozenset({Reason.STALE, Reason.GONE})


class Context(NamedTuple):
    """What a request is part of; handed on with its messages."""

    traceparent: str | None = None
    tracestate: str | None = None
    correlation_id: str | None = None
    """Of the messages that name none."""


NO_CONTEXT = Context()


class Publication(msgspec.Struct, frozen=True, gc=False):
    """What a request wants published, and where."""

    kind: str
    """``Topic`` or ``Queue``."""
    name: str
    messages: Sequence[MessageBody]
    idempotency_key: str = ""
    context: Context = NO_CONTEXT
    options: Options = DEFAULT_OPTIONS
    first: int = 0
    """Number of the first message in its request: with an idempotency key it tells each from the others."""
    when: When | None = None
    """To be kept until then; None to be stored at once."""


class Publishing(msgspec.Struct, frozen=True):
    """A publication on its way, and what it would take to send it again."""

    caller: Caller
    topic: TopicEntry
    publication: Publication
    sent: Any
    """A future of the outcomes, one for each message."""

    def is_outdated(self, outcomes: list[Outcome]) -> bool:
        """Whether some were refused because this process may know an outdated form of the topic."""
        return bool(outdated_of(outcomes))


def outdated_of(outcomes: list[Outcome]) -> list[int]:
    """Indexes of those that were refused because this process may know an outdated form of the topic."""
    return [
        index
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, NotStored) and outcome.reason in _WORTH_A_LOOK
    ]
