"""Subscription: who reads a topic, and how."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mqops.durations import Duration, duration_within
from mqops.errors import InvalidValue
from mqops.expressions import compile_filter
from mqops.model.metadata import TOPIC_REFERENCE_PATTERN, Name, Strict, explained
from mqops.model.mutability import LIVE, Mutability, Way
from mqops.model.topic import LIVE_BUT_IMPLIED_TOPIC_GOES, LIVE_FROM_NOW_ON, AckDeadline

TopicReference = Annotated[
    str,
    StringConstraints(pattern=TOPIC_REFERENCE_PATTERN),
    explained(TOPIC_REFERENCE_PATTERN, "the name of a topic, or tenant/name of another tenant's"),
]


def _compiles(source: str) -> str:
    compile_filter(source)
    return source


FilterExpression = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_compiles)]

Delay = Annotated[Duration, duration_within("0s", "7d")]

_KEEPS_TOPIC = Mutability(
    Way.REPLACE,
    note="it begins anew in the other topic, where startFrom says; to keep what is unfinished, declare one with "
    "another name, and remove this one when it has nothing left",
)
_KEEPS_START = Mutability(
    Way.REPLACE, note="it only matters when a subscription is made, so a new one is made: it begins there"
)


class RetrySpec(Strict):
    """When a failed message is tried again: exponential, with jitter."""

    max_attempts: Annotated[int, Field(ge=1, le=100), LIVE] = 4
    """Attempts in all, the first included; then the message is dead-lettered."""
    initial_delay: Annotated[Delay, LIVE] = 1_000
    """Before the second attempt."""
    multiplier: Annotated[float, Field(ge=1, le=100), LIVE] = 2.0
    """How much longer each further delay is."""
    max_delay: Annotated[Delay, LIVE] = 600_000
    """No delay is longer."""
    jitter: Annotated[float, Field(ge=0, le=1), LIVE] = 0.1
    """Share of each delay that chance may add or take away, so that failures do not return together."""

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> "RetrySpec":
        if self.max_delay < self.initial_delay:
            raise InvalidValue("maxDelay is shorter than initialDelay")
        return self


class SubscriptionSpec(Strict):
    """A reader of one topic with its own position, backlog, retries and dead letters."""

    topic: Annotated[TopicReference, _KEEPS_TOPIC]
    """A topic of the tenant, or `tenant/topic` where that topic is public."""
    handler: Annotated[Name | None, LIVE] = None
    """The Handler that messages are delivered to; none means they are pulled over HTTP."""
    start_from: Annotated[Literal["latest", "earliest"], _KEEPS_START] = "latest"
    """Where a new subscription begins."""
    filter: Annotated[FilterExpression | None, LIVE] = None
    """CEL over `payload`, `headers`, `key` and `topic`: only messages for which it is true are handed out.
    A missing field counts as false; any other error dead-letters the message as `filter_error`."""
    concurrency: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, LIVE] = None
    """Deliveries at once, per worker. Without it, MAX_CONCURRENT_CONSUMERS."""
    ack_deadline: Annotated[AckDeadline | None, LIVE_FROM_NOW_ON] = None
    """How long a pulling consumer has to settle a message before it is handed out again.
    Without it, CONSUMER_TIMEOUT."""
    retry: Annotated[RetrySpec, LIVE] = Field(default_factory=RetrySpec)
    """When a failed message is tried again."""
    dead_letter: Annotated[Name | None, LIVE_BUT_IMPLIED_TOPIC_GOES] = None
    """Topic of this tenant for what failed for good. Without it, `<topic>.deadletter`, made when nobody declares it."""
    state: Annotated[Literal["active", "paused"], LIVE] = "active"
    """`paused` hands nothing out; the backlog is kept."""
