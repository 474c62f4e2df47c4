"""What can go wrong, named by what the caller can do about it. These errors know no HTTP: ``mqops.api`` maps them.

MqopsError                    code, message, details, retry_after_seconds
├── InvalidRequest            the request is wrong in itself; repeating it changes nothing
│   ├── PayloadTooLarge
│   ├── InvalidManifests      details say everything that is wrong, and where
│   └── SerializationFailed   the body is not what its content type says
├── Unauthenticated           no credential, or one that is not known
├── TooManyFailures           no credential that is known, too often from this address
├── Forbidden                 known, allowed to see the thing, not to do this with it
├── NotFound                  absent, or not to be seen by this tenant: the two look the same
│   ├── TopicNotFound · QueueNotFound · SubscriptionNotFound · MessageNotFound
├── Conflict                  the state of the thing is in the way
│   ├── Refused               nothing was done, to be safe: a guard, a policy, or what has moved on since it was planned
│   └── ManagedBySource       a Source declares it: details say where
├── PreconditionFailed        the thing is not in the state any more that the caller knows
├── QuotaExceeded             a limit is reached; details name the limit and who holds it
├── PublishFailed             the broker refused this message; nothing is stored
├── ConnectionFailed          another service that is needed is away; nothing is done, repeating is safe
└── BrokerNotAvailable        a store is away; nothing is stored, repeating is safe
    └── OutcomeUnknown        the connection was lost after the write: stored at most once

ConfigurationError            a setting or a stored state that no retry can mend: the process stops and says so
"""

from typing import Any


class MqopsError(Exception):
    """An error with the body that requirements section E gives it."""

    code = "INTERNAL_ERROR"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(MqopsError):
    code = "INVALID_REQUEST"


class PayloadTooLarge(InvalidRequest):
    code = "PAYLOAD_TOO_LARGE"


class InvalidManifests(InvalidRequest):
    code = "INVALID_MANIFESTS"


class SerializationFailed(InvalidRequest):
    code = "SERIALIZATION_ERROR"


class Unauthenticated(MqopsError):
    code = "UNAUTHENTICATED"


class TooManyFailures(MqopsError):
    code = "TOO_MANY_FAILURES"


class Forbidden(MqopsError):
    code = "FORBIDDEN"


class NotFound(MqopsError):
    code = "NOT_FOUND"


class TopicNotFound(NotFound):
    code = "TOPIC_NOT_FOUND"


class QueueNotFound(NotFound):
    code = "MQ_QUEUE_NOT_FOUND"


class SubscriptionNotFound(NotFound):
    code = "SUBSCRIPTION_NOT_FOUND"


class MessageNotFound(NotFound):
    code = "MESSAGE_NOT_FOUND"


class Conflict(MqopsError):
    code = "CONFLICT"


class Refused(Conflict):
    """Commands exit with 3 for it, so that a pipeline can tell a refusal from a failure. Of a change of one resource,
    ``details.refused`` says what is in the way, and the way out."""

    code = "REFUSED"


class IdempotencyConflict(Conflict):
    code = "IDEMPOTENCY_CONFLICT"


class ManagedBySource(Conflict):
    code = "MANAGED_BY_SOURCE"


class PreconditionFailed(MqopsError):
    code = "PRECONDITION_FAILED"


class QuotaExceeded(MqopsError):
    code = "QUOTA_EXCEEDED"


class PublishFailed(MqopsError):
    code = "MQ_PUBLISH_FAILED"


class ConsumerFailed(MqopsError):
    code = "MQ_CONSUMER_ERROR"


class ConnectionFailed(MqopsError):
    code = "CONNECTION_ERROR"


class BrokerNotAvailable(MqopsError):
    code = "BROKER_NOT_AVAILABLE"


class OutcomeUnknown(BrokerNotAvailable):
    code = "OUTCOME_UNKNOWN"


class ConfigurationError(Exception):
    """The operator has to act: the message names the thing and the way out."""


class InvalidValue(ValueError):
    """A value that cannot be accepted. ``suggestion`` is what was probably meant, ready to paste; empty for none."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.suggestion = suggestion
