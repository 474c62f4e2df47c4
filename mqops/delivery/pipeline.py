"""One message in this worker's hands: filter, handler, settlement."""

import asyncio
import logging
import random
from typing import Any

from mqops.delivery.dispatch import Work
from mqops.delivery.heartbeat import Heartbeat
from mqops.delivery.report import Report
from mqops.delivery.settlement import (
    Again,
    CutOff,
    Dead,
    Done,
    FilterFailed,
    NotStarted,
    PassedOver,
    Settlement,
    Verdict,
    settlement_of,
)
from mqops.delivery.settling import settle
from mqops.expressions import ExpressionFailed
from mqops.handlers.http import HttpSender
from mqops.handlers.invocation import Invocation
from mqops.handlers.outcome import Failed, Rejected
from mqops.message import format_id
from mqops.streams import Claim, Streams

log = logging.getLogger(__name__)


class Pipeline:
    """Takes messages through, any number at once. ``on_again`` is told of a message that comes back after a delay."""

    def __init__(self, streams: Streams, sender: HttpSender, heartbeat: Heartbeat, report: Report) -> None:
        self._streams = streams
        self._sender = sender
        self._heartbeat = heartbeat
        self._report = report
        self._at_work: set[asyncio.Task[Any]] = set()
        self._is_draining = False

    async def deliver(self, work: Work) -> Settlement | None:
        """Handle the message and settle it. Returns how; None when it was not this worker's to settle any more.
        Never raises for what is wrong with a message or a handler."""
        try:
            verdict = await self._verdict(work)
        except Exception as error:  # a defect met by one message must not stop the others
            log.exception("delivering %s of %s failed", format_id(work.delivery.id), work.name)
            verdict = Failed(f"the worker failed: {type(error).__name__}")
        retry, attempt = work.subscription.spec.retry, work.delivery.attempt
        settlement = settlement_of(verdict, retry, attempt, random.random())  # noqa: S311 (jitter, not a secret)
        claim = Claim(work.delivery.position, work.delivery.token)
        is_ours = await settle(self._streams, work.lane, claim, settlement)
        self._note(work, verdict, settlement, is_ours)
        return settlement if is_ours else None

    def drain(self) -> None:
        """Begin with nothing more: what is not begun with is given back."""
        self._is_draining = True

    def cut_off(self) -> int:
        """End the handlers that are at work; their messages are given back. Returns how many there were."""
        for task in self._at_work:
            task.cancel()
        return len(self._at_work)

    async def _verdict(self, work: Work) -> Verdict:
        if self._is_draining or not self._heartbeat.covers(work.term):
            return NotStarted()
        try:
            if not work.subscription.wants(work.delivery):
                return PassedOver()
        except ExpressionFailed as error:
            return FilterFailed(str(error))
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        try:
            return await self._handle(work)
        except asyncio.CancelledError:
            if not self._is_draining:
                raise
            task.uncancel()  # the handler is to end, not the settling of its message
            return CutOff()
        finally:
            self._at_work.discard(task)

    async def _handle(self, work: Work) -> Verdict:
        subscription = work.subscription
        assert subscription.handler is not None
        topic = f"{subscription.topic.tenant}/{subscription.topic.name}"
        invocation = Invocation(subscription.tenant, topic, subscription.name, work.delivery)
        return await self._sender.send(subscription.handler.spec.http, invocation, work.timeout_ms)

    def _note(self, work: Work, verdict: Verdict, settlement: Settlement, is_ours: bool) -> None:
        """Failures only; ``brief`` is fit for a log."""
        if is_ours and isinstance(settlement, Done):
            return
        name, message = work.name, format_id(work.delivery.id)
        if not is_ours:
            self._report.note(name, f"{message} is not this worker's any more; it told nobody what came of it")
            return
        match verdict, settlement:
            case Failed(brief), Again(delay_ms):
                again = f"again in {delay_ms / 1000:g} s"
                self._report.note(name, f"{message} failed, attempt {work.delivery.attempt}, {again}: {brief}")
            case ((Failed(brief) | Rejected(brief)), Dead(reason)):
                self._report.note(name, f"{message} is dead-lettered ({reason}): {brief}")
            case FilterFailed(), Dead(reason):
                self._report.note(name, f"{message} is dead-lettered ({reason})")
