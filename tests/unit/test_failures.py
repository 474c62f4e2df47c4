"""How often an address may fail to say who it is."""

import logging
from collections.abc import Mapping

import pytest

from mqops.access import Access, Failures
from mqops.access.failures import MAX_ADDRESSES
from mqops.errors import TooManyFailures, Unauthenticated

TOKEN = "token-of-the-services"


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_limit_is_what_may_fail_at_once(clock: Clock) -> None:
    failures = Failures(3, clock)
    assert [failures.note("10.0.0.1") for _ in range(5)] == [0, 0, 0, 20, 20]


def test_it_comes_back_over_the_minute_and_no_more_than_that(clock: Clock) -> None:
    failures = Failures(3, clock)
    for _ in range(4):
        failures.note("10.0.0.1")
    clock.now += 15
    assert failures.wait("10.0.0.1") == pytest.approx(5)
    clock.now += 5
    assert failures.wait("10.0.0.1") == 0
    assert failures.note("10.0.0.1") == 0
    assert failures.note("10.0.0.1") == pytest.approx(20)
    clock.now += 3_600
    assert [failures.note("10.0.0.1") > 0 for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("not:an:address", "not:an:addressx", False),
    ],
)
def test_addresses_count_apart_and_networks_of_one_subscriber_together(
    one: str, other: str, is_one: bool, clock: Clock
) -> None:
    failures = Failures(1, clock)
    assert failures.note(one) == 0
    assert (failures.note(other) > 0) == is_one


def test_who_never_failed_is_not_remembered_for_being_asked_about(clock: Clock) -> None:
    failures = Failures(1, clock)
    assert failures.wait("10.0.0.1") == 0
    assert not failures._buckets


def test_memory_is_bounded_and_the_longest_quiet_is_forgotten_first(clock: Clock) -> None:
    failures = Failures(1, clock)
    for number in range(MAX_ADDRESSES):
        failures.note(f"host-{number}")
    assert failures.note("host-0") > 0  # the latest of all now
    failures.note("one-more")
    assert len(failures._buckets) == MAX_ADDRESSES
    assert failures.wait("host-0") > 0
    assert failures.wait("host-1") == 0


def test_the_log_is_told_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures(1, clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            failures.note("10.0.0.1")
            clock.now += 1
    assert len(caplog.records) == 2


class Keys:
    """A catalog without keys."""

    by_digest: Mapping[str, None] = {}

    def key(self, digest: str) -> None:
        return self.by_digest.get(digest)

    def tenant(self, name: str) -> object | None:
        return name


def access_with(clock: Clock, limit: int = 2) -> Access:
    catalog = Keys()
    return Access(lambda: catalog, "development", TOKEN, failures=Failures(limit, clock))


def test_a_good_key_is_taken_whatever_others_at_the_address_send(clock: Clock) -> None:
    access = access_with(clock)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            access.caller("Bearer guess", None, "10.0.0.1")
    with pytest.raises(TooManyFailures) as refused:
        access.caller("Bearer guess", None, "10.0.0.1")
    assert refused.value.retry_after_seconds == 30
    assert access.caller("Bearer development", None, "10.0.0.1").principal == "developer"


def test_no_credential_is_no_failed_one(clock: Clock) -> None:
    access = access_with(clock)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            access.caller(None, None, "10.0.0.1")


def test_a_guessed_service_token_is_of_no_use_past_the_limit(clock: Clock) -> None:
    access = access_with(clock)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            access.service("guess", None, "10.0.0.1")
    with pytest.raises(TooManyFailures):
        access.service(TOKEN, None, "10.0.0.1")
    assert access.service(TOKEN, None, "10.0.0.2").principal == "service"
    clock.now += 30
    assert access.service(TOKEN, None, "10.0.0.1").principal == "service"


def test_a_service_goes_on_whatever_others_at_its_address_send(clock: Clock) -> None:
    access = access_with(clock)
    access.service(TOKEN, None, "10.0.0.1")
    for _ in range(5):
        with pytest.raises((Unauthenticated, TooManyFailures)):
            access.caller("Bearer guess", None, "10.0.0.1")
    assert access.service(TOKEN, None, "10.0.0.1").principal == "service"
