"""How each field may change: the model's entries, and what a plan does with such a change, say the same."""

from copy import deepcopy
from dataclasses import replace
from typing import Annotated, Any

import declared
import pytest

from mqops.model import KINDS, Identity, Strict, Way, mutability_of
from mqops.model.mutability import LIVE, ONLY_VALUE
from reconciler.manifests.fields import Field, fields_of, walk
from reconciler.planning.change import Action
from reconciler.planning.plan import plan
from reconciler.state import Resource

_EXAMPLES: dict[str, tuple[Any, Any]] = {
    "spec.path": ("acme", "globex"),
    "spec.tenants": (["acme"], ["globex"]),
    "spec.topics": (["orders"], ["orders", "audit-*"]),
    "spec.keys[].sha256": ("0" * 64, "1" * 64),
    "spec.keys[].expiresAt": ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"),
    "spec.http.url": ("https://one.example", "https://two.example"),
    "spec.http.signingSecret.env": ("MQOPS_ACME_ONE", "MQOPS_ACME_TWO"),
    "spec.topic": ("orders", "returns"),
    "spec.filter": ("payload.total > 1", "payload.total > 2"),
}
"""Two values of fields that do not take just any of their type."""


def _examples(field: Field) -> tuple[Any, Any]:
    if field.path in _EXAMPLES:
        return _EXAMPLES[field.path]
    if field.choices:
        one, other = field.choices[:2]
        return ([one], [other]) if field.type.startswith("list") else (one, other)
    low, _, high = field.limits.partition(" to ")
    by_type: dict[str, tuple[Any, Any]] = {
        "true or false": (True, False),
        "list of names": (["one"], ["two"]),
        "map of text": ({"X-One": "1"}, {"X-Two": "1"}),
        "text": ("one", "two"),
        "name": ("one", "two"),
    }
    if field.type in by_type:
        return by_type[field.type]
    return (low, high) if field.type in ("duration", "size") else (float(low), float(high))


_FIELDS = [(kind, field) for kind in KINDS for field in walk(fields_of(kind)) if field.mutability and not field.fields]
_IN_SPECS = [(kind, field) for kind, field in _FIELDS if field.path.startswith("spec.")]


def _name(value: Any) -> str:
    return value.path if isinstance(value, Field) else str(value)


def _resource(kind: str) -> Resource:
    retry = {"initialDelay": "0s", "maxDelay": "7d"}
    key = {"sha256": "0" * 64}
    source = {"path": "acme"}
    resources = {
        "Topic": declared.topic("it"),
        "Queue": declared.queue("it"),
        "Handler": declared.handler("it"),
        "Subscription": declared.subscription("it", "orders", retry=retry),
        "Tenant": declared.tenant("it"),
        "Credential": _other_kind("Credential", {"principal": "it", "keys": [key]}),
        "Source": replace(_other_kind("Source", source), identity=Identity("Source", "", "it")),
    }
    return resources[kind]


def _other_kind(kind: str, spec: dict[str, Any]) -> Resource:
    complete = KINDS[kind].spec.model_validate(spec).model_dump(mode="json")
    return replace(declared.topic("it"), identity=Identity(kind, "acme", "it"), spec=complete)


def _with(resource: Resource, path: str, value: Any) -> Resource:
    spec: Any = deepcopy(resource.spec)
    *above, last = path.removeprefix("spec.").replace("[]", ".0").split(".")
    place = spec
    for part in above:
        if place[int(part) if part == "0" else part] is None:
            place[part] = {}
        place = place[int(part) if part == "0" else part]
    place[last] = int(value) if isinstance(value, float) and value.is_integer() else value
    valid = KINDS[resource.identity.kind].spec.model_validate(spec)
    return replace(resource, spec=valid.model_dump(mode="json"))


@pytest.mark.parametrize(("kind", "field"), _IN_SPECS, ids=_name)
def test_a_plan_does_with_a_change_what_the_model_says_of_it(kind: str, field: Field) -> None:
    assert field.mutability is not None
    if field.mutability.way is Way.FORBIDDEN:
        assert len(field.choices) == 1  # so no manifest with another one gets as far as a plan
        return
    one, other = _examples(field)
    letters = declared.dead_letters("orders.deadletter")
    others = (declared.tenant(), declared.topic("orders"), declared.topic("returns"), letters)
    for before, after in ((one, other), (other, one)):
        was, wanted = (_with(_resource(kind), field.path, value) for value in (before, after))
        found = plan((*others, wanted), declared.observed((*others, was)), declared.SOURCES)
        is_live = field.mutability.of(before, after) is Way.LIVE
        action, forced_by = (Action.UPDATE, ()) if is_live else (Action.REPLACE, (field.path,))
        done = [(it.action, it.identity, it.forced_by) for it in found.changes]
        assert (done, found.refused) == ([(action, wanted.identity, forced_by)], ()), (before, after)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_annotations_are_live(kind: str) -> None:
    by_path = {field.path: field.mutability for field in walk(fields_of(kind))}
    assert (by_path["metadata.labels"], by_path["metadata.annotations"]) == (LIVE, LIVE)
    others = (declared.tenant(), declared.topic("orders"))
    wanted = replace(_resource(kind), labels={"a": "b"}, annotations={"c": "d"})
    found = plan((*others, wanted), declared.observed((*others, _resource(kind))), declared.SOURCES)
    assert ([it.action for it in found.changes], found.refused) == ([Action.UPDATE], ())


def test_another_name_is_another_resource() -> None:
    ways = {field.path: field.mutability.way for field in walk(fields_of("Topic")) if field.mutability}
    assert (ways["metadata.name"], ways["metadata.tenant"], ways["kind"]) == (Way.REPLACE,) * 3
    tenant, before, after = declared.tenant(), declared.topic("before"), declared.topic("after")
    found = plan((tenant, after), declared.observed((tenant, before)), declared.SOURCES)
    assert [(it.action, it.identity.name) for it in found.changes] == [("create", "after"), ("delete", "before")]


def test_another_kind_under_one_name_is_a_replace() -> None:
    tenant, before, after = declared.tenant(), declared.topic("it"), declared.queue("it")
    found = plan((tenant, after), declared.observed((tenant, before)), declared.SOURCES)
    assert [(it.action, it.identity.kind, it.forced_by) for it in found.changes] == [("replace", "Queue", ("kind",))]


def test_a_field_without_an_entry_is_found() -> None:
    class Forgetful(Strict):
        told: Annotated[int, LIVE]
        untold: int
        twice: Annotated[int, LIVE, ONLY_VALUE]

    assert mutability_of(Forgetful.model_fields["told"]) == LIVE
    for name in ("untold", "twice"):
        with pytest.raises(LookupError, match=f"{name} has . entries of how it may change"):
            mutability_of(Forgetful.model_fields[name])
