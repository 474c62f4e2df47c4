"""Topic and Queue: where messages are published."""

from typing import Annotated, Literal

from pydantic import Field

from mqops.durations import Duration, Size, duration_within, size_within
from mqops.model.metadata import Name, Strict
from mqops.model.mutability import LIVE, ONLY_VALUE, Mutability, Way

State = Literal["active", "paused", "archived"]

DEADLETTER_RETENTION_MS = 30 * 86_400_000

Retention = Annotated[Duration, duration_within("1s", "3650d")]
AckDeadline = Annotated[Duration, duration_within("100ms", "1d")]
IdempotencyWindow = Annotated[Duration, duration_within("1s", "7d")]
MessageSize = Annotated[Size, size_within("1B", "512MiB")]

_GROWS = Mutability(
    Way.LIVE,
    fewer=Way.REPLACE,
    note="with more of them, a key may land in another partition than before; with fewer, it begins anew and empty, "
    "and so does whoever reads it",
)
LIVE_FROM_NOW_ON = Mutability(Way.LIVE, note="messages that are handed out keep the deadline they were given")
LIVE_BUT_IMPLIED_TOPIC_GOES = Mutability(
    Way.LIVE, note="the topic that it implied before is deleted, with the dead letters in it"
)


class StoredSpec(Strict):
    """What topics and queues have in common: how messages are taken and kept."""

    display_name: Annotated[str, LIVE] = ""
    """What people call it."""
    description: Annotated[str, LIVE] = ""
    """What is published here."""
    engine: Annotated[Literal["redis"], ONLY_VALUE] = "redis"
    """Where the messages live."""
    partitions: Annotated[int, Field(ge=1, le=256), _GROWS] = 1
    """Streams the messages are spread over; a key always lands in the same one."""
    retention: Annotated[Retention | None, LIVE] = None
    """How long messages are kept, read or not; what is then still unread is dead-lettered as `expired`.
    Without it, DEFAULT_TTL."""
    max_backlog: Annotated[Annotated[int, Field(ge=1, le=2**53)] | None, LIVE] = None
    """Unfinished messages per subscription; beyond it publishing is refused, nothing is dropped.
    Without it, MAX_QUEUE_LENGTH."""
    max_message_size: Annotated[MessageSize | None, LIVE] = None
    """Largest payload. Without it, MAX_MESSAGE_SIZE."""
    idempotency_window: Annotated[IdempotencyWindow, Mutability(Way.LIVE, note="keys that are known keep theirs")] = (
        600_000
    )
    """For how long an idempotency key is known: what is published under it again is not stored again."""
    producers: Annotated[tuple[Name, ...], LIVE] = ()
    """Principals that may publish; empty means any of the tenant."""
    consumers: Annotated[tuple[Name, ...], LIVE] = ()
    """Principals that may read; empty means any of the tenant."""
    state: Annotated[State, LIVE] = "active"
    """`paused` refuses publishing, `archived` refuses reading too."""


class TopicSpec(StoredSpec):
    """A stream of messages that any number of subscriptions read, each at its own pace."""

    public: Annotated[bool, LIVE] = False
    """Whether other tenants may subscribe."""


class QueueSpec(StoredSpec):
    """A topic with one implied subscription of the same name, pulled over HTTP from the earliest message."""

    ack_deadline: Annotated[AckDeadline | None, LIVE_FROM_NOW_ON] = None
    """How long a consumer has to settle a message before it is handed out again. Without it, CONSUMER_TIMEOUT."""
    max_attempts: Annotated[int, Field(ge=1, le=100), LIVE] = 4
    """Hand-outs in all; then the message is dead-lettered."""
    dead_letter: Annotated[Name | None, LIVE_BUT_IMPLIED_TOPIC_GOES] = None
    """Topic for what failed. Without it, `<name>.deadletter`, made when nobody declares it."""
