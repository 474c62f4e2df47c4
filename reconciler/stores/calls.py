"""Calls of the scripts in ``reconciler/scripts``, many in a round trip."""

from collections.abc import Sequence
from typing import Any

from redis import Redis

from mqops.keys import Keyspace
from mqops.lua import Script, load_script

_PACKAGE = "reconciler.scripts"

Call = tuple[str, int, tuple[str, ...]]
"""A script, the bucket it works in, and its arguments."""


def call(redis: "Redis", keys: Keyspace, calls: Sequence[Call]) -> list[Any]:
    """Makes every call, in their order and in one round trip: an answer, or the error it is, for each. The scripts go
    along: were one unknown and sent afterwards, its calls would come after others that build on them."""
    scripts = {name: _script(name) for name, _, _ in calls}
    with redis.pipeline(transaction=False) as pipeline:
        for script in scripts.values():
            pipeline.script_load(script.source)
        for name, bucket, arguments in calls:
            pipeline.evalsha(scripts[name].sha, 1, keys.epoch(bucket), *arguments)
        return pipeline.execute(raise_on_error=False)[len(scripts) :]


def _script(name: str) -> Script:
    return load_script(_PACKAGE, name)
