"""``GET …/deadletters``: a page of dead letters. ``GET …/deadletters/{id}``: one of them."""

import time

from mqops.api.deadletters.query import FILTERS, Cursor, FilterBody, filter_of, sought
from mqops.api.deadletters.resource import LetterResource
from mqops.api.deadletters.scan import Chosen, Scan
from mqops.api.edge import Request, Response, write_json
from mqops.api.management.page import limit_of, refuse_unknown, single
from mqops.api.message_json import message_json
from mqops.streams import StoredMessage

_MAX_BYTES = 4 * 1024 * 1024
_SECONDS = 1.0
"""How long one answer looks on when little of what is there is meant."""


class LetterList(LetterResource):
    """What is in a topic, or what failed for a subscription; ``kind`` says what the path names."""

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        _, of = self._find(req, name)
        refuse_unknown(req.params, (*FILTERS, "limit", "cursor"))
        cursor, limit = single(req.params, "cursor"), limit_of(single(req.params, "limit"))
        wanted = sought(of, filter_of(req.params), self._feed.current)
        scan = Scan(self._letters, of.topic, wanted, None if cursor is None else Cursor.parse(cursor))
        found = await _page(scan, limit)
        items = [message_json(of.topic.name, letter) for letter in found]
        write_json(resp, {"items": items, "cursor": scan.cursor})


class OneLetter(LetterResource):
    """One dead letter."""

    async def on_get(self, req: Request, resp: Response, name: str, id: str) -> None:
        _, of = self._find(req, name)
        refuse_unknown(req.params, ())
        chosen = Chosen(self._letters, of.topic, sought(of, FilterBody(), self._feed.current), (id,))
        _, found = await chosen.next(1)
        for _, error in chosen.missing:
            raise error
        write_json(resp, message_json(of.topic.name, found[0]))


async def _page(scan: Scan, limit: int) -> list[StoredMessage]:
    """Up to ``limit``, fewer when they are large or far between."""
    found: list[StoredMessage] = []
    size_bytes, deadline = 0, time.monotonic() + _SECONDS
    while len(found) < limit and size_bytes < _MAX_BYTES and not scan.is_over:
        _, letters = await scan.next(limit - len(found))
        found += letters
        size_bytes += sum(len(letter.payload) for letter in letters)
        if time.monotonic() >= deadline:
            break
    return found
