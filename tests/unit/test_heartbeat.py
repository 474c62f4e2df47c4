"""When a worker must still be believed alive, and what it may start."""

import asyncio

import pytest

from mqops.delivery import heartbeat as module
from mqops.delivery.heartbeat import Heartbeat
from mqops.errors import BrokerNotAvailable


class Clock:
    """Time that passes when a test says so."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Confirms heartbeats, when it is there."""

    is_there = True
    beats = 0

    async def beat(self, incarnation: str) -> None:
        if not self.is_there:
            raise BrokerNotAvailable("away")
        self.beats += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "clock", clock)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.0)
    return clock


async def one_beat(heartbeat: Heartbeat) -> None:
    """Let it beat at least once more."""
    task = asyncio.create_task(heartbeat.run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_worker_that_never_beat_may_start_nothing(clock: Clock) -> None:
    heartbeat = Heartbeat("w1", Server().beat, lambda: None)
    assert not heartbeat.is_believed()
    assert not heartbeat.covers(heartbeat.term)


def test_a_beat_is_good_for_ten_seconds(clock: Clock) -> None:
    async def main() -> None:
        server = Server()
        heartbeat = Heartbeat("w1", server.beat, lambda: None)
        await one_beat(heartbeat)
        server.is_there = False
        clock.now += 9.9
        await one_beat(heartbeat)
        assert heartbeat.covers(heartbeat.term)
        clock.now += 0.2
        assert not heartbeat.covers(heartbeat.term)

    asyncio.run(main())


def test_what_was_fetched_before_a_silence_is_not_started_after_it(clock: Clock) -> None:
    async def main() -> None:
        terms: list[int] = []
        server = Server()
        heartbeat = Heartbeat("w1", server.beat, lambda: terms.append(heartbeat.term))
        await one_beat(heartbeat)
        fetched_in = heartbeat.term
        clock.now += 9
        await one_beat(heartbeat)
        assert heartbeat.covers(fetched_in)
        clock.now += 11  # as when the process is stopped and goes on
        await one_beat(heartbeat)
        assert heartbeat.is_believed()
        assert not heartbeat.covers(fetched_in)
        assert terms == [1, 2]

    asyncio.run(main())


def test_a_beat_counts_from_when_it_was_sent(clock: Clock) -> None:
    async def main() -> None:
        class Slow(Server):
            async def beat(self, incarnation: str) -> None:
                clock.now += 11

        heartbeat = Heartbeat("w1", Slow().beat, lambda: None)
        await one_beat(heartbeat)
        assert not heartbeat.is_believed()

    asyncio.run(main())
