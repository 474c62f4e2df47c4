"""Whether and when a failed message is tried again. A pure decision: ``mqops.delivery`` carries it out.

The delay before attempt n+1 is ``initialDelay × multiplier^(n-1)``, at most ``maxDelay``, then moved by chance by up to
``jitter`` of itself either way, and again at most ``maxDelay``.
"""

from dataclasses import dataclass

from mqops.model import RetrySpec

LONGEST_ASKED_DELAY_MS = 3_600_000
"""How far a receiver may put off its next attempt, where the subscription's own ``maxDelay`` is shorter."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Hand it out again, after the delay."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The attempts are used up."""


def decide(retry: RetrySpec, attempt: int, chance: float, asked_delay_ms: int | None = None) -> Retry | GiveUp:
    """What follows the failure of attempt number ``attempt`` (the first is 1).

    ``chance`` in [0, 1) chooses within the jitter. ``asked_delay_ms`` is what the receiver asked for (``Retry-After``):
    it can lengthen the delay, up to an hour or ``maxDelay``, whichever is longer; it never shortens it.
    """
    if attempt >= retry.max_attempts:
        return GiveUp()
    # A float: 100 attempts at the largest multiplier stay far below its limit.
    planned = min(retry.initial_delay * retry.multiplier ** (attempt - 1), retry.max_delay)
    jittered = planned * (1 + retry.jitter * (2 * chance - 1))
    delay_ms = min(round(jittered), retry.max_delay)
    if asked_delay_ms is not None:
        delay_ms = max(delay_ms, min(asked_delay_ms, max(LONGEST_ASKED_DELAY_MS, retry.max_delay)))
    return Retry(delay_ms)
