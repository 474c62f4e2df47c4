"""How a plan reads. Whole plans are compared by the golden cases in tests/plans."""

import json
from dataclasses import replace

import pytest
from declared import SOURCES, dead_letters, implied, managed, observed, respecified, subscription, tenant, topic

from reconciler.planning.plan import plan
from reconciler.planning.render import as_json, footer, text, text_lines
from reconciler.planning.wording import value_text
from reconciler.state import Observed, Origin

ORDERS = topic("orders", partitions=4)
BILLING = subscription("billing", "orders")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)


def test_nothing_to_do_says_so() -> None:
    assert text(plan(ALL, observed(ALL), SOURCES)) == "No changes. What is applied matches the manifests.\n"


def test_other_owners_are_mentioned() -> None:
    found = plan(ALL, observed((*ALL, managed(topic("theirs"), "api"))), SOURCES)
    assert text(found).startswith("1 resource of another owner is left alone.\nNo changes.")


def test_an_update_shows_place_and_both_values() -> None:
    wanted = replace(respecified(BILLING, ackDeadline="1m"), origin=Origin("acme.yaml", 21))
    found = plan((*ALL[:-1], wanted), observed(ALL), SOURCES)
    assert text(found, "manifests/") == (
        "  ~ update Subscription acme/billing  manifests/acme.yaml:21\n"
        "      ackDeadline: 30s → 1m\n"
        "\n"
        "Plan: 0 to create, 1 to update, 0 to delete, 0 to repair.\n"
    )


def test_a_create_tells_what_is_not_usual_anyway() -> None:
    found = plan((tenant(), ORDERS), Observed({}), SOURCES)
    assert text(found).splitlines()[:6] == [
        "  + create Tenant acme  acme.yaml:1",
        "  + create Topic acme/orders  acme.yaml:1",
        "      partitions: 4",
        "      retention: 7d",
        "      maxBacklog: 10000",
        "      maxMessageSize: 1MiB",
    ]


def test_refusals_are_counted_in_the_footer_and_explained_above() -> None:
    there = observed(managed(one, "team") if one is ORDERS else one for one in ALL)
    found = plan((tenant(), respecified(ORDERS, retention="1d"), LETTERS, BILLING), there, SOURCES)
    assert footer(found) == "Plan: 0 to create, 0 to update, 0 to delete, 0 to repair. 1 refused."
    assert "  ! cannot hand over Topic acme/orders  acme.yaml:1\n      Topic acme/orders belongs to source" in text(
        found
    )


def test_every_line_says_what_it_is_about() -> None:
    found = plan((tenant(), respecified(ORDERS, partitions=8), LETTERS), observed(ALL), SOURCES)
    assert [kind for kind, _ in text_lines(found)] == ["update", "field", "delete", "plain", "plain"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        ("none", '"none"'),
        ("", '""'),
        ("7d", "7d"),
        ("two words", '"two words"'),
        ("\x1b[2Jgone", '"\\u001b[2Jgone"'),
        ("right\u202eleft", '"right\\u202eleft"'),
        (True, "true"),
        (["a", "b"], '["a", "b"]'),
        (2.5, "2.5"),
    ],
)
def test_no_value_poses_as_another_or_moves_the_cursor(value: object, shown: str) -> None:
    assert value_text(value) == shown


def test_json_has_everything_and_survives_a_round_trip() -> None:
    wanted = respecified(BILLING, ackDeadline="1m")
    found = as_json(plan((*ALL[:-1], wanted), observed(ALL), SOURCES))
    assert json.loads(json.dumps(found)) == found
    assert found["summary"] == {
        "create": 0,
        "update": 1,
        "delete": 0,
        "repair": 0,
        "rename": 0,
        "adopt": 0,
        "handover": 0,
        "replace": 0,
        "refused": 0,
    }
    (change,) = found["resource_changes"]
    assert change["change"]["actions"] == ["update"]
    assert change["change"]["before"]["spec"]["ackDeadline"] == "30s"
    assert change["change"]["after"]["spec"]["ackDeadline"] == "1m"
    assert change["fields"] == [{"path": "spec.ackDeadline", "before": "30s", "after": "1m"}]
    assert (change["file"], change["line"], change["reason"]) == ("acme.yaml", 1, "changed")
