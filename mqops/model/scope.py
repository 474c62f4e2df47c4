"""Which topics a credential is limited to: patterns of full names, ``tenant/name``."""

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class TopicScope:
    """``patterns`` as a manifest has them: a name without a tenant is one of ``home``, and ``*`` stands for any
    characters but ``/``."""

    home: str
    patterns: tuple[str, ...]

    def covers(self, tenant: str, name: str) -> bool:
        """Whether the topic or queue ``name`` of ``tenant`` is among them."""
        return _matcher(self).fullmatch(f"{tenant}/{name}") is not None


@lru_cache(maxsize=10_000)
def _matcher(scope: TopicScope) -> "re.Pattern[str]":
    full = (pattern if "/" in pattern else f"{scope.home}/{pattern}" for pattern in scope.patterns)
    # A run of stars is one: several would try each way of sharing the characters among them.
    alternatives = ("[^/]*".join(map(re.escape, re.split(r"\*+", pattern))) for pattern in full)
    return re.compile("|".join(alternatives))
