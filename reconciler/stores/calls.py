"""Calls of the scripts in ``reconciler/scripts``, many in a round trip."""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

from mqops.keys import Keyspace
from mqops.lua import Script, load_script

_PACKAGE = "reconciler.scripts"

Call = tuple[str, int, tuple[str, ...]]
"""A script, the bucket it works in, and its arguments."""


def call(redis: "Redis", keys: Keyspace, calls: Sequence[Call]) -> list[Any]:
    """Makes every call, in their order and in one round trip: an answer, or the error it is, for each. A server that
    does not know a script yet is taught it."""
    answers = _pipelined(redis, keys, calls)
    unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        for name in sorted({calls[index][0] for index in unknown}):
            redis.script_load(_script(name).source)
        again = _pipelined(redis, keys, [calls[index] for index in unknown])
        for index, answer in zip(unknown, again, strict=True):
            answers[index] = answer
    return answers


def _pipelined(redis: "Redis", keys: Keyspace, calls: Sequence[Call]) -> list[Any]:
    with redis.pipeline(transaction=False) as pipeline:
        for script, bucket, arguments in calls:
            pipeline.evalsha(_script(script).sha, 1, keys.epoch(bucket), *arguments)
        return pipeline.execute(raise_on_error=False)


def _script(name: str) -> Script:
    return load_script(_PACKAGE, name)
