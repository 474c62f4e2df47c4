"""Which topics a credential is good for."""

import pytest
from pydantic import ValidationError

from mqops.model import CredentialSpec, TopicScope

KEY = {"sha256": "0" * 64}


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("orders", ["acme/orders"], ["acme/orders.deadletter", "acme/my-orders", "globex/orders", "acme/order"]),
        ("orders*", ["acme/orders", "acme/orders.deadletter"], ["acme/my-orders", "globex/orders"]),
        ("*.deadletter", ["acme/orders.deadletter", "acme/.deadletter"], ["acme/orders", "acme/xdeadletter"]),
        ("a*c*e", ["acme/abcde", "acme/ace"], ["acme/abcd", "acme/aec"]),
        ("*", ["acme/orders", "acme/x"], ["globex/orders"]),
        ("globex/news", ["globex/news"], ["acme/news", "globex/new"]),
        ("*/orders", ["acme/orders", "globex/orders"], ["globex/news"]),
        ("g*/n*", ["globex/news"], ["acme/news", "globex/orders"]),
    ],
)
def test_a_pattern_covers_whole_names_of_the_tenant_it_names(
    pattern: str, covered: list[str], not_covered: list[str]
) -> None:
    scope = TopicScope("acme", (pattern,))
    for name in (*covered, *not_covered):
        assert scope.covers(*name.split("/")) == (name in covered), name


def test_one_pattern_of_several_is_enough() -> None:
    scope = TopicScope("acme", ("orders", "globex/*"))
    assert scope.covers("acme", "orders")
    assert scope.covers("globex", "news")
    assert not scope.covers("acme", "news")


@pytest.mark.parametrize("pattern", ["", "Orders", "a b", "a/b/c", "/a", "a/", "?", "-a", "x" * 201])
def test_what_no_name_could_match_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        CredentialSpec.model_validate({"principal": "x", "topics": [pattern], "keys": [KEY]})


@pytest.mark.parametrize("role", ["viewer", "planner", "deployer", "admin"])
def test_roles_about_what_is_declared_cannot_be_limited(role: str) -> None:
    spec = {"principal": "x", "roles": ["publisher", role], "keys": [KEY]}
    CredentialSpec.model_validate(spec)
    with pytest.raises(ValidationError, match=f"and {role} is about what is declared"):
        CredentialSpec.model_validate({**spec, "topics": ["orders"]})


def test_no_pattern_takes_long() -> None:
    """A regular expression would try more ways than there are atoms."""
    scope = TopicScope("acme", ("*a" * 90 + "*b", "*" * 199 + "b"))
    assert not scope.covers("acme", "a" * 200)
    assert scope.covers("acme", "a" * 199 + "b")
