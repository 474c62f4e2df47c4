"""What is declared into what is desired: complete, implied resources included, in order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trees import DIGESTS, checked, manifest, together

from mqops.model import KINDS, Identity
from mqops.settings import Settings
from reconciler.state import Origin, Resource

ACME = manifest("Tenant", "acme")
ORDERS = manifest("Topic", "orders")
BILLING = manifest("Subscription", "billing", "{topic: orders}")
READ = together(ORDERS, BILLING)
HOOK = manifest("Handler", "hook", "{type: http, http: {url: http://x}}")
KEY = manifest("Credential", "checkout", f"{{principal: checkout, keys: [{{sha256: {DIGESTS[0]}}}]}}")


def desired(directory: Path, *documents: str, settings: Settings | None = None) -> dict[str, Resource]:
    result = checked(directory, {"a.yaml": together(ACME, *documents)}, settings)
    assert result.problems == ()
    return {str(resource.identity): resource for resource in result.resources}


@pytest.mark.parametrize(
    ("setting", "document", "resource", "field", "value"),
    [
        ({"default_ttl_ms": 60_000}, ORDERS, "Topic acme/orders", "retention", "1m"),
        ({"max_queue_length": 7}, ORDERS, "Topic acme/orders", "maxBacklog", 7),
        ({"max_message_size_bytes": 2048}, ORDERS, "Topic acme/orders", "maxMessageSize", "2KiB"),
        ({"consumer_timeout_ms": 1_500}, READ, "Subscription acme/billing", "ackDeadline", "1500ms"),
        ({"max_concurrent_consumers": 9}, READ, "Subscription acme/billing", "concurrency", 9),
        ({"consumer_timeout_ms": 1_500}, manifest("Queue", "jobs"), "Queue acme/jobs", "ackDeadline", "1500ms"),
        ({"consumer_timeout_ms": 1_500}, manifest("Queue", "jobs"), "Subscription acme/jobs", "ackDeadline", "1500ms"),
        ({"max_concurrent_consumers": 9}, manifest("Queue", "jobs"), "Subscription acme/jobs", "concurrency", 9),
        ({"default_ttl_ms": 60_000}, manifest("Queue", "jobs"), "Queue acme/jobs", "retention", "1m"),
        ({"processing_timeout_ms": 250}, HOOK, "Handler acme/hook", "http", {"timeout": "250ms"}),
    ],
)  # fmt: skip
def test_the_installations_defaults_are_filled_in(
    tmp_path: Path, setting: dict[str, int], document: str, resource: str, field: str, value: Any
) -> None:
    settings = replace(Settings(), **setting)  # type: ignore[arg-type]
    found = desired(tmp_path, document, settings=settings)[resource].spec[field]
    assert found == value or found.items() >= value.items()
    other = desired(tmp_path, document)[resource].spec[field]
    assert other != found, "a default that no setting changes shows nothing"


def test_what_is_declared_wins_over_the_defaults(tmp_path: Path) -> None:
    spec = "{retention: 1d, maxBacklog: 5, maxMessageSize: 3KiB}"
    found = desired(tmp_path, manifest("Topic", "orders", spec))["Topic acme/orders"].spec
    assert (found["retention"], found["maxBacklog"], found["maxMessageSize"]) == ("1d", 5, "3KiB")


def test_every_field_is_there_and_reads_back_the_same(tmp_path: Path) -> None:
    documents = [ORDERS, BILLING, HOOK, KEY, manifest("Queue", "jobs")]
    for resource in desired(tmp_path, *documents).values():
        model = KINDS[resource.identity.kind].spec
        assert set(resource.spec) == {field.alias for field in model.model_fields.values()}
        again = model.model_validate(resource.spec).model_dump(mode="json", by_alias=True)
        assert again == resource.spec


def test_a_queue_brings_its_subscription_along(tmp_path: Path) -> None:
    spec = "{ackDeadline: 1m, maxAttempts: 7, deadLetter: failed}"
    found = desired(tmp_path, manifest("Queue", "jobs", spec))
    subscription = found["Subscription acme/jobs"]
    expected = {
        "topic": "jobs", "handler": None, "startFrom": "earliest", "filter": None, "ackDeadline": "1m",
        "deadLetter": "failed", "state": "active", "concurrency": 5,
    }  # fmt: skip
    assert expected.items() <= subscription.spec.items()
    assert subscription.spec["retry"]["maxAttempts"] == 7
    assert subscription.implied_by == Identity("Queue", "acme", "jobs")
    assert subscription.origin == found["Queue acme/jobs"].origin == Origin("a.yaml", 6)
    assert subscription.managed_by == "default"
    assert found["Topic acme/failed"].implied_by == subscription.identity


def test_a_dead_letter_topic_nobody_declares_is_made(tmp_path: Path) -> None:
    found = desired(tmp_path, ORDERS, BILLING, manifest("Subscription", "audit", "{topic: orders}"))
    letters = found["Topic acme/orders.deadletter"]
    assert (letters.spec["retention"], letters.spec["maxBacklog"]) == ("30d", None)
    assert letters.implied_by == Identity("Subscription", "acme", "audit"), "the first by name"
    assert found["Subscription acme/billing"].spec["deadLetter"] == "orders.deadletter"
    assert found["Topic acme/orders"].spec["maxBacklog"] == 10_000


def test_a_declared_dead_letter_topic_keeps_what_it_says_and_has_no_limit_else(tmp_path: Path) -> None:
    plain = desired(tmp_path / "a", ORDERS, BILLING, manifest("Topic", "orders.deadletter"))
    assert plain["Topic acme/orders.deadletter"].implied_by is None
    assert plain["Topic acme/orders.deadletter"].spec["retention"] == "30d"
    assert plain["Topic acme/orders.deadletter"].spec["maxBacklog"] is None
    own = desired(
        tmp_path / "b", ORDERS, BILLING, manifest("Topic", "orders.deadletter", "{retention: 1d, maxBacklog: 3}")
    )
    assert own["Topic acme/orders.deadletter"].spec["retention"] == "1d"
    assert own["Topic acme/orders.deadletter"].spec["maxBacklog"] == 3


def test_what_reads_dead_letters_has_none_of_its_own(tmp_path: Path) -> None:
    readers = [manifest("Subscription", name, "{topic: orders.deadletter}") for name in ("alerts", "zalerts")]
    found = desired(tmp_path, ORDERS, BILLING, *readers)
    assert found["Subscription acme/alerts"].spec["deadLetter"] is None
    assert found["Subscription acme/zalerts"].spec["deadLetter"] is None
    assert "Topic acme/orders.deadletter.deadletter" not in found


def test_dead_letters_live_with_the_subscribers_tenant(tmp_path: Path) -> None:
    reader = manifest("Subscription", "news", "{topic: acme/orders}", "globex")
    found = desired(tmp_path, manifest("Tenant", "globex"), manifest("Topic", "orders", "{public: true}"), reader)
    assert "Topic globex/orders.deadletter" in found
    assert "Topic acme/orders.deadletter" not in found
    subscription = found["Subscription globex/news"]
    assert subscription.spec["topic"] == "acme/orders"
    assert Identity("Topic", "acme", "orders") in subscription.references


def test_a_tenants_own_topic_has_one_spelling(tmp_path: Path) -> None:
    found = desired(tmp_path, ORDERS, manifest("Subscription", "billing", "{topic: acme/orders}"))
    assert found["Subscription acme/billing"].spec["topic"] == "orders"


def test_resources_come_in_the_order_of_applying_whatever_the_files_order(tmp_path: Path) -> None:
    documents = [BILLING, manifest("Queue", "jobs"), ORDERS, HOOK, KEY, manifest("Topic", "about")]
    forth = list(desired(tmp_path / "a", *documents))
    back = list(desired(tmp_path / "b", *reversed(documents)))
    assert forth == back == [
        "Tenant acme",
        "Credential acme/checkout",
        "Handler acme/hook",
        "Topic acme/about",
        "Topic acme/jobs.deadletter",
        "Topic acme/orders",
        "Topic acme/orders.deadletter",
        "Queue acme/jobs",
        "Subscription acme/billing",
        "Subscription acme/jobs",
    ]  # fmt: skip


def test_references_are_what_has_to_be_there_first(tmp_path: Path) -> None:
    billing = manifest("Subscription", "billing", "{topic: orders, handler: hook}")
    found = desired(tmp_path, ORDERS, HOOK, billing, manifest("Queue", "jobs"))
    acme = Identity("Tenant", "", "acme")
    assert found["Tenant acme"].references == ()
    assert found["Topic acme/orders"].references == (acme,)
    assert found["Subscription acme/billing"].references == (
        acme,
        Identity("Topic", "acme", "orders"),
        Identity("Handler", "acme", "hook"),
        Identity("Topic", "acme", "orders.deadletter"),
    )
    assert found["Subscription acme/jobs"].references == (
        acme,
        Identity("Queue", "acme", "jobs"),
        Identity("Topic", "acme", "jobs.deadletter"),
    )
    order = [resource.identity for resource in found.values()]
    for resource in found.values():
        assert all(order.index(needed) < order.index(resource.identity) for needed in resource.references)


def test_labels_and_annotations_are_kept_and_not_handed_down(tmp_path: Path) -> None:
    text = manifest("Queue", "jobs").replace("name: jobs", "name: jobs, labels: {team: a}, annotations: {note: b}")
    found = desired(tmp_path, text)
    assert found["Queue acme/jobs"].labels == {"team": "a"}
    assert found["Queue acme/jobs"].annotations == {"note": "b"}
    assert found["Subscription acme/jobs"].labels == {}


def test_nothing_is_desired_while_anything_is_wrong(tmp_path: Path) -> None:
    result = checked(tmp_path, {"a.yaml": ACME, "b.yaml": manifest("Topic", "orders", "{zzz: 1}")})
    assert len(result.problems) == 1
    assert result.resources == ()
