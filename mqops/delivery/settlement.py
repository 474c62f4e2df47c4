"""What Redis is told of a message: done, again later, or dead. Pure, and the only place where that is chosen."""

from dataclasses import dataclass

from mqops.handlers.outcome import Failed, Outcome, Rejected, Succeeded
from mqops.handlers.retry import GiveUp, Retry, decide
from mqops.model import RetrySpec


@dataclass(frozen=True, slots=True)
class PassedOver:
    """The subscription's filter does not want it."""


@dataclass(frozen=True, slots=True)
class FilterFailed:
    """The filter cannot be evaluated over it, and never will be."""

    detail: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """It was fetched, but this worker may not or will not begin with it."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """Its handler was at work when the worker had to go; what came of it is not known."""


Verdict = Outcome | PassedOver | FilterFailed | NotStarted | CutOff


@dataclass(frozen=True, slots=True)
class Done:
    """Acknowledge it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Hand it out again after a delay; ``counts``: an attempt was made."""

    delay_ms: int
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """Move it to the dead-letter topic."""

    reason: str
    detail: str


Settlement = Done | Again | Dead


def settlement_of(verdict: Verdict, retry: RetrySpec, attempt: int, chance: float) -> Settlement:
    """``attempt`` numbers the one that ``verdict`` is about; ``chance`` in [0, 1) chooses within the jitter."""
    match verdict:
        case Succeeded() | PassedOver():
            return Done()
        case Rejected():
            return Dead("rejected", verdict.detail)
        case FilterFailed(detail):
            return Dead("filter_error", detail)
        case Failed():
            match decide(retry, attempt, chance, verdict.retry_after_ms):
                case Retry(delay_ms):
                    return Again(delay_ms)
                case GiveUp():
                    return Dead("retries_exhausted", verdict.detail)
        case NotStarted():
            return Again(0, counts=False)
        case CutOff():
            return Again(0)
