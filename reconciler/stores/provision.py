"""Runs the provisioning scripts of ``reconciler/scripts``: many calls in a round trip, each with its own outcome."""

from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from mqops.keys import Keyspace
from reconciler.planning.target import Step
from reconciler.stores import translated
from reconciler.stores.calls import call

_CALLS_AT_ONCE = 500

GoesOn = Callable[[int], bool]
"""Told how many calls are made, before each round trip; whether there shall be another."""


def run(redis: "Redis", keys: Keyspace, steps: Sequence[Step], goes_on: GoesOn) -> list[str | None]:
    """Makes every call, in their order, and says of each why it failed, or ``None``. All are safe to repeat. When
    ``goes_on`` ends it, the rest is not made: there are fewer answers then.

    Raises ``BrokerNotAvailable`` when the server goes away: any number of the calls may then have been made.
    """
    outcomes: list[str | None] = []
    for start in range(0, len(steps), _CALLS_AT_ONCE):
        if not goes_on(start):
            break
        chunk = steps[start : start + _CALLS_AT_ONCE]
        with translated():
            answers = _call(redis, keys, chunk)
            outcomes.extend(_outcome(answer, step) for answer, step in zip(answers, chunk, strict=True))
    return outcomes


def _call(redis: "Redis", keys: Keyspace, steps: Sequence[Step]) -> list[Any]:
    return call(redis, keys, [(step.script, step.bucket, step.arguments) for step in steps])


def _outcome(answer: Any, step: Step) -> str | None:
    if isinstance(answer, ResponseError):
        return f"Redis refuses: {answer}"
    if isinstance(answer, Exception):
        raise answer
    if step.script == "prepare_subscription" and answer == -1:
        return "its topic is not prepared on Redis"
    if step.script == "take_back_stream" and answer == 0:
        return f"its stream is no longer at {step.arguments[0]}: plan again"
    return None
