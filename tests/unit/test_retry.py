"""Whether and when a failed message is tried again, and what Redis is told of a verdict."""

import pytest

from mqops.delivery.settlement import (
    Again,
    CutOff,
    Dead,
    Done,
    FilterFailed,
    NotStarted,
    PassedOver,
    Settlement,
    Verdict,
    settlement_of,
)
from mqops.handlers.outcome import Failed, Rejected, Succeeded
from mqops.handlers.retry import GiveUp, Retry, decide
from mqops.model import RetrySpec

EVEN = 0.5  # the chance that moves a delay neither way
HOUR_MS = 3_600_000


def retry_spec(**changes: object) -> RetrySpec:
    values = {"maxAttempts": 4, "initialDelay": "1s", "multiplier": 2, "maxDelay": "10m", "jitter": 0, **changes}
    return RetrySpec.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "attempt", "chance", "asked_ms", "expected"),
    [
        pytest.param({}, 1, EVEN, None, Retry(1_000), id="the first failure waits the initial delay"),
        pytest.param({}, 2, EVEN, None, Retry(2_000), id="each further delay is longer"),
        pytest.param({}, 3, EVEN, None, Retry(4_000), id="by the multiplier"),
        pytest.param({}, 4, EVEN, None, GiveUp(), id="the last attempt is not followed by another"),
        pytest.param({}, 5, EVEN, None, GiveUp(), id="nor is one beyond, given back by a worker that left"),
        pytest.param({"maxAttempts": 1}, 1, EVEN, None, GiveUp(), id="one attempt means no retry"),
        pytest.param({"maxDelay": "3s"}, 3, EVEN, None, Retry(3_000), id="no delay is longer than maxDelay"),
        pytest.param({"maxAttempts": 100, "multiplier": 100}, 99, EVEN, None, Retry(600_000), id="however many"),
        pytest.param({"multiplier": 1}, 3, EVEN, None, Retry(1_000), id="a multiplier of one keeps the delay"),
        pytest.param({"initialDelay": "0"}, 3, EVEN, None, Retry(0), id="no delay stays no delay"),
        pytest.param({"jitter": 0.1}, 1, 0.0, None, Retry(900), id="chance takes up to the jitter away"),
        pytest.param({"jitter": 0.1}, 1, 0.75, None, Retry(1_050), id="or adds to it"),
        pytest.param({"jitter": 1}, 1, 0.0, None, Retry(0), id="a jitter of one reaches down to nothing"),
        pytest.param({"jitter": 1, "maxDelay": "1s"}, 1, 0.9, None, Retry(1_000), id="jitter does not pass maxDelay"),
        pytest.param({}, 1, EVEN, 30_000, Retry(30_000), id="a receiver may ask for more time"),
        pytest.param({}, 1, EVEN, 10, Retry(1_000), id="but not for less"),
        pytest.param({}, 1, EVEN, 10**12, Retry(HOUR_MS), id="at most an hour"),
        pytest.param({"maxDelay": "2h"}, 1, EVEN, 10**12, Retry(2 * HOUR_MS), id="or maxDelay, if that is longer"),
        pytest.param({}, 4, EVEN, 30_000, GiveUp(), id="asking for time grants no further attempt"),
    ],
)
def test_the_decision(
    changes: dict[str, object], attempt: int, chance: float, asked_ms: int | None, expected: Retry | GiveUp
) -> None:
    assert decide(retry_spec(**changes), attempt, chance, asked_ms) == expected


@pytest.mark.parametrize(
    ("verdict", "attempt", "expected"),
    [
        (Succeeded(), 1, Done()),
        (PassedOver(), 1, Done()),
        (Failed("answered 500"), 1, Again(1_000)),
        (Failed("answered 503", retry_after_ms=7_000), 1, Again(7_000)),
        (Failed("answered 500", "sorry"), 4, Dead("retries_exhausted", "answered 500: sorry")),
        (Rejected("answered 410 Gone", "moved out"), 1, Dead("rejected", "answered 410 Gone: moved out")),
        (FilterFailed("no such overload"), 1, Dead("filter_error", "no such overload")),
        (NotStarted(), 4, Again(0, counts=False)),
        (CutOff(), 4, Again(0)),
    ],
)
def test_what_redis_is_told(verdict: Verdict, attempt: int, expected: Settlement) -> None:
    assert settlement_of(verdict, retry_spec(), attempt, EVEN) == expected
