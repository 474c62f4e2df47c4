"""Waiting for what another process, thread or connection does: looked for again and again, and not for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PAUSE_SECONDS = 0.02


def eventually(check: Callable[[], Answer | None], what: str = "what is awaited", seconds: float = 20.0) -> Answer:
    """The first true answer of ``check``; fails naming ``what`` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(PAUSE_SECONDS)
    return answer


async def eventually_async(check: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """The same while the event loop goes on; raises ``TimeoutError``, even out of a ``check`` that hangs."""
    async with asyncio.timeout(seconds):
        while True:
            answer = check()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            await asyncio.sleep(PAUSE_SECONDS)
