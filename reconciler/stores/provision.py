"""Runs the provisioning scripts of ``reconciler/scripts``: many calls in a round trip, each with its own outcome."""

from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError, ResponseError

from mqops.keys import Keyspace
from mqops.lua import Script, load_script
from reconciler.planning.target import Step
from reconciler.stores import translated

_CALLS_AT_ONCE = 500

_PACKAGE = "reconciler.scripts"

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
            outcomes.extend(
                _outcome(answer, step) for answer, step in zip(_call(redis, keys, chunk), chunk, strict=True)
            )
    return outcomes


def _call(redis: "Redis", keys: Keyspace, steps: Sequence[Step]) -> list[Any]:
    answers = _pipelined(redis, keys, steps)
    unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        for name in sorted({steps[index].script for index in unknown}):
            redis.script_load(_script(name).source)
        again = _pipelined(redis, keys, [steps[index] for index in unknown])
        for index, answer in zip(unknown, again, strict=True):
            answers[index] = answer
    return answers


def _pipelined(redis: "Redis", keys: Keyspace, steps: Sequence[Step]) -> list[Any]:
    with redis.pipeline(transaction=False) as pipeline:
        for step in steps:
            pipeline.evalsha(_script(step.script).sha, 1, keys.epoch(step.bucket), *step.arguments)
        return pipeline.execute(raise_on_error=False)


def _script(name: str) -> Script:
    return load_script(_PACKAGE, name)


def _outcome(answer: Any, step: Step) -> str | None:
    if isinstance(answer, ResponseError):
        return f"Redis refuses: {answer}"
    if isinstance(answer, Exception):
        raise answer
    if step.script == "prepare_subscription" and answer == -1:
        return "its topic is not prepared on Redis"
    return None
