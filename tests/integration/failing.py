"""Subscriptions that have failed, for tests of dead letters."""

from typing import Any

from api_platform import Platform

ONCE = {"retry": {"maxAttempts": 1}}


def failed(platform: Platform, *payloads: Any, **spec: Any) -> tuple[str, str]:
    """A topic and its subscription, which has failed with each of ``payloads``."""
    topic, reader = platform.topic_with_reader(reader=ONCE, **spec)
    fail(platform, topic, reader, *({"payload": payload} for payload in payloads))
    return topic, reader


def fail(platform: Platform, topic: str, reader: str, *messages: dict[str, Any]) -> None:
    for first in range(0, len(messages), 100):
        some = messages[first : first + 100]
        assert platform.acme.publish(topic, {"messages": some}).status == 200
        ids = [message["ackId"] for message in platform.acme.pull(reader, 100)]
        assert len(ids) == len(some)
        assert set(platform.acme.settle("nack", reader, *ids)) == {"dead_lettered"}
