"""``GET …/messages/{id}``: one message, wherever in its topic or queue it is kept, and whoever holds it. A message is
kept until everybody is done with it, and after that for as long as there is room.
"""

from collections.abc import Iterator
from uuid import UUID

from mqops.access import Access
from mqops.api.directory import Directory
from mqops.api.edge import Request, Response, caller_of, write_json
from mqops.api.management.page import refuse_unknown, single
from mqops.api.message_json import message_json, topic_as_seen_by
from mqops.api.peek import TOPIC_TENANT
from mqops.catalog import TopicEntry
from mqops.errors import MessageNotFound
from mqops.message import partition_of_id
from mqops.streams import StoredMessage, Streams


class Message:
    """Looking at a message of a ``Topic`` or a ``Queue``."""

    def __init__(self, access: Access, directory: Directory, streams: Streams, kind: str) -> None:
        self._access = access
        self._directory = directory
        self._streams = streams
        self._kind = kind

    async def on_get(self, req: Request, resp: Response, name: str, id: str) -> None:
        caller = caller_of(self._access, req)
        refuse_unknown(req.params, (TOPIC_TENANT,) if self._kind == "Topic" else ())
        topic = self._directory.readable_of(single(req.params, TOPIC_TENANT), caller, self._kind, name)
        found = await self._find(topic, id)
        if found is None:
            raise MessageNotFound(f"{self._kind.lower()} {name!r} keeps no message {id!r}")
        write_json(resp, message_json(topic_as_seen_by(caller.tenant, topic), found))

    async def _find(self, topic: TopicEntry, text: str) -> StoredMessage | None:
        try:
            message_id = UUID(text)
        except ValueError:
            return None
        for partition in _partitions(topic, message_id.bytes):
            found = await self._streams.find(topic.bucket, topic.uid, partition, message_id.bytes)
            if found is not None:
                return found
        return None


def _partitions(topic: TopicEntry, message_id: bytes) -> Iterator[int]:
    """Where it may be: its id says, but for that of a dead letter, which is made before it is known where it goes."""
    first = partition_of_id(message_id)
    if first < topic.spec.partitions:
        yield first
    if topic.is_dead_letter:
        yield from (number for number in range(topic.spec.partitions) if number != first)
