"""What was asked for and comes to nothing is told."""

import pytest
from declared import observed, renamed, tenant, topic

from mqops.model import Identity
from reconciler.planning.notices import notices
from reconciler.state import Resource

A, B, C = (renamed(topic(name), former) for name, former in (("a", "b"), ("b", "a"), ("c", "a")))
RING = tuple(renamed(topic(name), former) for name, former in (("x", "y"), ("y", "z"), ("z", "x")))


def told(desired: tuple[Resource, ...], there: tuple[Resource, ...]) -> tuple[str, ...]:
    return notices((tenant(), *desired), observed((tenant(), *there)).applied, ())


def test_a_trade_of_names_that_was_applied_says_nothing_any_more() -> None:
    (notice,) = told((A, B), (A, B))
    assert notice.startswith(
        "Topic acme/a and Topic acme/b have traded their names, and their renamedFrom says nothing"
    )
    (notice,) = told(RING, RING)
    assert notice.startswith("Topic acme/x and Topic acme/y and Topic acme/z have")


@pytest.mark.parametrize(
    ("desired", "there"),
    [
        ((A, B), (topic("a"), topic("b"))),  # yet to be applied
        ((A, B), (A, topic("b"))),
        ((A,), (A,)),  # the other has gone, or is said no longer
        ((A, topic("b")), (A, topic("b"))),
        ((C, topic("a")), (C, topic("a"))),  # an old name that is used anew
        ((renamed(topic("a"), "a"),), (renamed(topic("a"), "a"),)),
    ],
)
def test_other_renames_are_no_trades(desired: tuple[Resource, ...], there: tuple[Resource, ...]) -> None:
    assert told(desired, there) == ()


def test_what_is_to_lose_its_protection_has_to_be_there() -> None:
    there = observed((tenant(), topic("a"))).applied
    gone = Identity("Topic", "acme", "gone")
    assert notices((), there, {topic("a").identity, gone}) == (
        "--unprotect: there is no Topic acme/gone, or not any more",
    )
