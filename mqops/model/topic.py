"""Topic and Queue: where messages are published."""

from typing import Annotated, Literal

from pydantic import Field

from mqops.durations import Duration, Size, duration_within, size_within
from mqops.model.metadata import Name, Strict

State = Literal["active", "paused", "archived"]

DEADLETTER_RETENTION_MS = 30 * 86_400_000

Retention = Annotated[Duration, duration_within("1s", "3650d")]
AckDeadline = Annotated[Duration, duration_within("100ms", "1d")]
MessageSize = Annotated[Size, size_within("1B", "512MiB")]


class StoredSpec(Strict):
    """What topics and queues have in common: how messages are taken and kept."""

    display_name: str = ""
    """What people call it."""
    description: str = ""
    """What is published here."""
    engine: Literal["redis"] = "redis"
    """Where the messages live."""
    partitions: Annotated[int, Field(ge=1, le=256)] = 1
    """Streams the messages are spread over; a key always lands in the same one."""
    retention: Retention | None = None
    """How long messages are kept, read or not; what is then still unread is dead-lettered as `expired`.
    Without it, DEFAULT_TTL."""
    max_backlog: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """Unfinished messages per subscription; beyond it publishing is refused, nothing is dropped.
    Without it, MAX_QUEUE_LENGTH."""
    max_message_size: MessageSize | None = None
    """Largest payload. Without it, MAX_MESSAGE_SIZE."""
    producers: tuple[Name, ...] = ()
    """Principals that may publish; empty means any of the tenant."""
    consumers: tuple[Name, ...] = ()
    """Principals that may read; empty means any of the tenant."""
    state: State = "active"
    """`paused` refuses publishing, `archived` refuses reading too."""


class TopicSpec(StoredSpec):
    """A stream of messages that any number of subscriptions read, each at its own pace."""

    public: bool = False
    """Whether other tenants may subscribe."""


class QueueSpec(StoredSpec):
    """A topic with one implied subscription of the same name, pulled over HTTP from the earliest message."""

    ack_deadline: AckDeadline | None = None
    """How long a consumer has to settle a message before it is handed out again. Without it, CONSUMER_TIMEOUT."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 4
    """Hand-outs in all; then the message is dead-lettered."""
    dead_letter: Name | None = None
    """Topic for what failed. Without it, `<name>.deadletter`, made when nobody declares it."""
