"""The headers of a webhook: Standard Webhooks' three, ours, and those that the handler's manifest adds.

    webhook-id           the message's id, the same for every attempt: receivers recognise a repetition by it
    webhook-timestamp    when this attempt was made, seconds since 1970
    webhook-signature    present when the handler has a signing secret
    content-type         the message's own
    mqops-topic          tenant/name of the topic it was published to
    mqops-subscription   the subscription's name
    mqops-attempt        1 for the first
    mqops-key            the message's key, when a header can carry it
    mqops-header-<name>  each header of the message that HTTP can carry; others are left out
    mqops-correlation-id the publisher's, when it gave one
    traceparent          the publisher's trace context, when it sent one; tracestate with it

Ours win over the manifest's. HTTP carries names that are tokens and values of printable ASCII (RFC 9110, section 5).
"""

import re
from collections.abc import Mapping

from multidict import CIMultiDict

import mqops
from mqops.handlers.invocation import Invocation
from mqops.handlers.signature import sign
from mqops.message import format_id

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def webhook_headers(
    invocation: Invocation, static: Mapping[str, str], timestamp: int, key: bytes | None
) -> CIMultiDict[str]:
    """The headers of one attempt. ``static``: the manifest's; ``timestamp`` in seconds; ``key`` signs, if given."""
    delivery = invocation.delivery
    envelope = delivery.envelope
    message_id = format_id(delivery.id)
    headers = CIMultiDict({"user-agent": f"mqops/{mqops.__version__}", "accept-encoding": "identity"})
    headers.update(static)
    for name, value in envelope.headers.items():
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value):
            headers[f"mqops-header-{name}"] = value
    # A content type reached us in an HTTP header, but not every way to publish is HTTP.
    headers["content-type"] = envelope.content_type if _VALUE.fullmatch(envelope.content_type) else "application/json"
    headers["mqops-topic"] = invocation.topic
    headers["mqops-subscription"] = invocation.subscription
    headers["mqops-attempt"] = str(delivery.attempt)
    if _VALUE.fullmatch(delivery.key):
        headers["mqops-key"] = delivery.key
    context = {
        "mqops-correlation-id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "tracestate": envelope.tracestate,
    }
    headers.update({name: value for name, value in context.items() if value is not None and _VALUE.fullmatch(value)})
    headers["webhook-id"] = message_id
    headers["webhook-timestamp"] = str(timestamp)
    if key is not None:
        headers["webhook-signature"] = sign(key, message_id, timestamp, delivery.payload)
    return headers
