"""What an answer makes of the outcomes of a publish request.

All stored: 200. Some: 207, with a result for each message. None: the error of the first one, with the results of all
in its details when there were several. Sent, and not waited for (``acks=0``): 202.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from mqops.api.errors import Answer, body_of
from mqops.api.timestamps import format_ms, now_ms
from mqops.catalog import Catalog
from mqops.errors import (
    BrokerNotAvailable,
    Conflict,
    IdempotencyConflict,
    MqopsError,
    OutcomeUnknown,
    QuotaExceeded,
)
from mqops.message import format_id
from mqops.streams import Doubt, NotStored, Outcome, Reason, Scheduled, Sent, Stored, Unknown

Result = Outcome | MqopsError
"""What became of a message of a batch; an error when its whole request was refused."""

OK = 200
ACCEPTED = 202
MULTI_STATUS = 207

_BACKLOG_RETRY_SECONDS = 5
_STATUS_WORDS = {
    Sent: "sent",
    Stored: "stored",
    Scheduled: "scheduled",
    NotStored: "not_stored",
    Unknown: "unknown",
}


TAKEN = Stored | Scheduled | Sent
"""What there is nothing more to be said of."""


def answer_publish(outcomes: Sequence[Outcome], catalog: Catalog) -> Answer:
    """Raises the error of the first message when none was stored."""
    if len(outcomes) == 1 and isinstance(outcomes[0], Stored):
        return Answer(OK, _one(outcomes[0]))
    return _several(outcomes, catalog)


def answer_batch(results: Sequence[Result], catalog: Catalog) -> Answer:
    """The same for requests to several places: ``results`` are always there."""
    return _several(results, catalog, with_results=True)


def _several(outcomes: Sequence[Result], catalog: Catalog, *, with_results: bool = False) -> Answer:
    taken = [outcome for outcome in outcomes if isinstance(outcome, Stored | Sent)]
    if not taken:
        raise refusal(outcomes, catalog)
    times = [outcome.position.milliseconds for outcome in taken if isinstance(outcome, Stored)]
    body: dict[str, Any] = {
        "messageIds": [_message_id(outcome) for outcome in outcomes],
        "partitions": [_place(outcome) for outcome in outcomes],
        "timestamp": format_ms(max(times) if times else now_ms()),
    }
    if with_results or len(taken) < len(outcomes):
        body["results"] = [result_of(outcome, catalog) for outcome in outcomes]
    status = MULTI_STATUS if len(taken) < len(outcomes) else OK if times else ACCEPTED
    return Answer(status, msgspec.json.encode(body))


def error_of(outcome: NotStored | Unknown | MqopsError, catalog: Catalog) -> MqopsError:
    """Why a message was not stored, or may not have been, in the words of the API."""
    if isinstance(outcome, MqopsError):
        return outcome
    if isinstance(outcome, Unknown):
        lost = "the connection to the Redis server was lost after the write: the message is stored once or not at all"
        words = lost if outcome.doubt is Doubt.LOST else outcome.detail
        return OutcomeUnknown(words, messageIds=[format_id(outcome.id)])
    match outcome.reason:
        case Reason.BACKLOG:
            return _backlog(outcome.detail, catalog)
        case Reason.PAUSED:
            return Conflict(f"the topic is {outcome.detail or 'paused'}: it takes no messages")
        case Reason.CONFLICT:
            return IdempotencyConflict("the idempotency key was used with another message")
        case Reason.STALE:
            return BrokerNotAvailable("the topic is being changed", retry_after_seconds=1)
        case Reason.GONE | Reason.DAMAGED:
            return BrokerNotAvailable("the topic's streams are being restored", retry_after_seconds=1)
        case Reason.FLUSHED:
            return BrokerNotAvailable("the Redis server is being restored", retry_after_seconds=1)
        case Reason.OVERLOADED:
            return BrokerNotAvailable("too much is being published at the moment", retry_after_seconds=1)
        case Reason.UNAVAILABLE if outcome.detail.startswith("OOM"):
            return BrokerNotAvailable("the Redis server's memory is full", retry_after_seconds=5)
        case Reason.UNAVAILABLE:
            return BrokerNotAvailable("the Redis server is away", retry_after_seconds=1)


def _one(stored: Stored) -> bytes:
    return (
        f'{{"messageIds":["{format_id(stored.id)}"],'
        f'"partitions":[{{"partition":{stored.partition},"offset":{stored.position.offset}}}],'
        f'"timestamp":"{format_ms(stored.position.milliseconds)}"}}'
    ).encode()


def _backlog(holder: str, catalog: Catalog) -> QuotaExceeded:
    subscription = catalog.subscriptions_by_uid.get(holder)
    name = subscription.name if subscription is not None else holder
    limit = subscription.topic.spec.max_backlog if subscription is not None else None
    return QuotaExceeded(
        f"subscription {name!r} has as many unfinished messages as the topic allows (maxBacklog)",
        retry_after_seconds=_BACKLOG_RETRY_SECONDS,
        subscription=name,
        quota="maxBacklog",
        limit=limit,
    )


def refusal(outcomes: Sequence[Result], catalog: Catalog) -> MqopsError:
    """What to answer when none of the messages was taken."""
    errors = [error_of(outcome, catalog) for outcome in outcomes if not isinstance(outcome, TAKEN)]
    results = [result_of(outcome, catalog) for outcome in outcomes] if len(outcomes) > 1 else None
    # One that may be stored comes first: sending all of them again would not be safe.
    first = next((error for error in errors if isinstance(error, OutcomeUnknown)), errors[0])
    if isinstance(first, OutcomeUnknown):
        first.details["messageIds"] = [format_id(outcome.id) for outcome in outcomes if isinstance(outcome, Unknown)]
    if results is not None:
        first.details["results"] = results
    return first


def result_of(outcome: Result, catalog: Catalog) -> dict[str, Any]:
    """What became of one message of several."""
    status = {"status": _STATUS_WORDS.get(type(outcome), "not_stored")}
    return status if isinstance(outcome, TAKEN) else {**status, **body_of(error_of(outcome, catalog))}


def _message_id(outcome: Result) -> str | None:
    return format_id(outcome.id) if isinstance(outcome, Stored | Sent | Unknown) else None


def _place(outcome: Result) -> dict[str, int | None] | None:
    if isinstance(outcome, Sent):
        return {"partition": outcome.partition, "offset": None}
    if not isinstance(outcome, Stored):
        return None
    return {"partition": outcome.partition, "offset": outcome.position.offset}
