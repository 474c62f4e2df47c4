"""``GET …/messages``: a look at a topic's messages, which takes none of them and disturbs no one.

``after`` is where to go on: the ``cursor`` of an earlier answer, or ``latest`` for only what comes from now on; without
it, from the oldest message kept. ``max`` is how many, 1 to 100.
"""

import asyncio
import re

from mqops.access import Access
from mqops.api.directory import Directory
from mqops.api.edge import Request, Response, caller_of, write_json
from mqops.api.management.page import refuse_unknown, single
from mqops.api.message_json import message_json, topic_as_seen_by
from mqops.catalog import TopicEntry
from mqops.errors import InvalidRequest
from mqops.message import Position
from mqops.streams import StoredMessage, Streams

TOPIC_TENANT = "topicTenant"
"""The parameter that names the tenant of another's public topic."""
MAX_MESSAGES = 100
DEFAULT_MESSAGES = 20
_MAX_BYTES = 4 * 1024 * 1024
_AT_ONCE = 10
"""Messages of a partition that one answer brings at most, because they may be large."""

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,15}(\.[0-9]{1,15}-[0-9]{1,15})*")
_START = Position(0, 0)


class Peek:
    """Looking at topics."""

    def __init__(self, access: Access, directory: Directory, streams: Streams) -> None:
        self._access = access
        self._directory = directory
        self._streams = streams
        self._turn = 0

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        caller = caller_of(self._access, req)
        after, wanted = _parameters(req)
        topic = self._directory.readable_of(single(req.params, TOPIC_TENANT), caller, "Topic", name)
        called = topic_as_seen_by(caller.tenant, topic)
        if after == "latest":
            positions, messages = await self._ends(topic), []
        else:
            positions = _positions(after, topic.spec.partitions)
            messages = await self._look(topic, positions, wanted)
        body = {
            "messages": [message_json(called, message) for message in messages],
            "cursor": ".".join(str(position) for position in positions),
        }
        write_json(resp, body)

    async def _ends(self, topic: TopicEntry) -> list[Position]:
        partitions = range(topic.spec.partitions)
        ends = (self._streams.last_position(topic.bucket, topic.uid, number) for number in partitions)
        return list(await asyncio.gather(*ends))

    async def _look(self, topic: TopicEntry, positions: list[Position], wanted: int) -> list[StoredMessage]:
        """Up to ``wanted`` messages after ``positions``, which move on; oldest first."""
        found: list[StoredMessage] = []
        partitions = len(positions)
        self._turn += 1
        for step in range(partitions):
            number = (self._turn + step) % partitions
            count = min(_AT_ONCE, wanted - len(found))
            if count <= 0 or sum(len(message.payload) for message in found) >= _MAX_BYTES:
                break
            after = positions[number] if positions[number] != _START else None
            messages = await self._streams.peek(topic.bucket, topic.uid, number, after, count)
            if messages:
                positions[number] = messages[-1].position
                found += messages
        return sorted(found, key=lambda message: message.position.milliseconds)


def _parameters(req: Request) -> tuple[str, int]:
    refuse_unknown(req.params, ("after", "max", TOPIC_TENANT))
    wanted = req.get_param_as_int("max", default=DEFAULT_MESSAGES)
    if not 1 <= wanted <= MAX_MESSAGES:
        raise InvalidRequest(f"max is from 1 to {MAX_MESSAGES}")
    return req.get_param("after", default=""), wanted


def _positions(cursor: str, partitions: int) -> list[Position]:
    if cursor and not _CURSOR.fullmatch(cursor):
        raise InvalidRequest("after is the cursor of an earlier answer, or latest")
    known = [Position.parse(text) for text in cursor.split(".")] if cursor else []
    # A topic may have more partitions than when the cursor was made; those are new from their start.
    return [known[number] if number < len(known) else _START for number in range(partitions)]
