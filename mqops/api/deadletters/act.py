"""``POST …/deadletters/redrive`` and ``…/discard``: what is to become of dead letters, up to a thousand a request.

A request stops after a while and answers with a cursor; the same request with that goes on. Whatever breaks off in
between, the same request again does what is left, and nothing twice.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from mqops.access import Caller
from mqops.api.deadletters.query import Cursor, FilterBody, sought
from mqops.api.deadletters.redrive import Redriven, Redriver, Wish
from mqops.api.deadletters.resource import LetterResource
from mqops.api.deadletters.scan import Chosen, Scan
from mqops.api.directory import DeadLetters
from mqops.api.edge import Request, Response, decode, read_body, write_json
from mqops.api.errors import body_of
from mqops.api.management.page import refuse_unknown
from mqops.api.message_body import check_headers
from mqops.errors import InvalidRequest
from mqops.message import format_id
from mqops.streams import LetterBox, StoredMessage

log = logging.getLogger(__name__)

MAX_AT_ONCE = 1_000
MAX_PER_SECOND = 10_000
_SECONDS = 5.0
"""How long one request goes on."""
_TURNS_PER_SECOND = 5
"""In which a rate is kept: so much of it goes at once."""


class DiscardBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which dead letters: exactly one of ``ids``, ``filter`` and ``all``."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_AT_ONCE)] | None = None
    filter: FilterBody | None = None
    all: bool = False
    max: Annotated[int, msgspec.Meta(ge=1, le=MAX_AT_ONCE)] = MAX_AT_ONCE
    """How many at most."""
    dry_run: bool = False
    cursor: str | None = None

    def require_one_choice(self) -> None:
        """Raises ``InvalidRequest`` unless it says in one way which are meant."""
        if (self.ids is not None) + (self.filter is not None) + self.all != 1:
            raise InvalidRequest("say which are meant: exactly one of ids, filter and all")
        if self.ids is not None and self.cursor is not None:
            raise InvalidRequest("cursor goes with filter or all, not with ids")


class RedriveBody(DiscardBody, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Also where to and how fast. Only a single one, by ``ids``, has its payload or headers edited."""

    rate_per_second: Annotated[int, msgspec.Meta(ge=1, le=MAX_PER_SECOND)] | None = None
    to_topic: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    republish: bool = False
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    headers: dict[str, str] | None = None

    def wish(self) -> Wish:
        """Raises ``InvalidRequest`` for what does not go together."""
        if self.republish and self.to_topic is not None:
            raise InvalidRequest("republish and toTopic both say where to: leave one out")
        if self.ids is not None and self.rate_per_second is not None:
            raise InvalidRequest("ratePerSecond goes with filter or all, not with ids")
        payload = None if isinstance(self.payload, msgspec.UnsetType) else bytes(self.payload)
        wish = Wish(self.to_topic, self.republish, payload, self.headers)
        if wish.edits and (self.ids is None or len(self.ids) != 1):
            raise InvalidRequest("payload and headers are those of a single dead letter: give its id in ids")
        check_headers(self.headers or {}, "headers")
        return wish


_Body = TypeVar("_Body", bound=DiscardBody)
Perform = Callable[[LetterBox, Sequence[StoredMessage]], Awaitable[Redriven]]


class Act(LetterResource, ABC, Generic[_Body]):
    """What redriving and discarding have in common: which letters, how many at a time, and the answer."""

    decoder: "msgspec.json.Decoder[_Body]"
    done: str
    """What the answer calls those that it was done to."""

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller, of = self._find(req, name)
        refuse_unknown(req.params, ())
        body = decode(self.decoder, await read_body(req))
        body.require_one_choice()
        perform = self._perform(caller, of, body)
        source = self._source(of, body)
        done = await _work_off(source, perform, body.max, getattr(body, "rate_per_second", None))
        if done.count and not body.dry_run:
            who, topic = f"{caller.home}/{caller.principal}", f"{of.topic.tenant}/{of.topic.name}"
            log.info("%s: %d dead letters of %s %s", who, done.count, topic, self.done)
        missing = [{"id": text, **body_of(error)} for text, error in source.missing]
        skipped = [{"id": format_id(one.id), **body_of(one.error)} for one in done.skipped]
        answer: dict[str, Any] = {"dryRun": body.dry_run, self.done: done.count, "skipped": missing + skipped}
        write_json(resp, {**answer, "cursor": source.cursor})

    def _source(self, of: DeadLetters, body: _Body) -> Scan | Chosen:
        """Raises ``InvalidRequest``."""
        wanted = sought(of, body.filter or FilterBody(), self._feed.current)
        if body.ids is not None:
            return Chosen(self._letters, of.topic, wanted, body.ids)
        cursor = None if body.cursor is None else Cursor.parse(body.cursor)
        return Scan(self._letters, of.topic, wanted, cursor, with_bodies=self._needs_bodies(body))

    @abstractmethod
    def _needs_bodies(self, body: _Body) -> bool: ...

    @abstractmethod
    def _perform(self, caller: Caller, of: DeadLetters, body: _Body) -> Perform:
        """What is done to some letters. Raises ``InvalidRequest``, ``NotFound`` and ``Forbidden`` for what cannot be
        done to any."""


class Redrive(Act[RedriveBody]):
    """They are handed out again."""

    decoder = msgspec.json.Decoder(RedriveBody)
    done = "redriven"

    def _needs_bodies(self, body: RedriveBody) -> bool:
        return not body.dry_run

    def _perform(self, caller: Caller, of: DeadLetters, body: RedriveBody) -> Perform:
        redriver = Redriver(self._letters, self._directory, self._feed.current, caller, body.wish())
        return lambda box, letters: redriver.redrive(box, letters, is_dry=body.dry_run)


class Discard(Act[DiscardBody]):
    """They are gone for good."""

    decoder = msgspec.json.Decoder(DiscardBody)
    done = "discarded"

    def _needs_bodies(self, body: DiscardBody) -> bool:
        return False

    def _perform(self, caller: Caller, of: DeadLetters, body: DiscardBody) -> Perform:
        async def discard(box: LetterBox, letters: Sequence[StoredMessage]) -> Redriven:
            if body.dry_run:
                return Redriven(len(letters), [])
            return Redriven(sum(await self._letters.remove(box, letters, self.done)), [])

        return discard


async def _work_off(source: Scan | Chosen, perform: Perform, most: int, per_second: int | None) -> Redriven:
    """Up to ``most`` letters, those that are skipped included; fewer when the time is up, at no more than the rate."""
    started = time.monotonic()
    turn = most if per_second is None else max(1, per_second // _TURNS_PER_SECOND)
    total = Redriven(0, [])
    while (taken := total.count + len(total.skipped)) < most and not source.is_over:
        box, letters = await source.next(min(turn, most - taken))
        if letters:
            done = await perform(box, letters)
            total = Redriven(total.count + done.count, [*total.skipped, *done.skipped])
            if per_second is not None:
                await asyncio.sleep(started + total.count / per_second - time.monotonic())
        if isinstance(source, Scan) and time.monotonic() - started >= _SECONDS:
            break
    return total
