"""A plan as a unified diff."""

from dataclasses import replace

import declared
import yaml

from mqops.model import Identity
from reconciler.planning.placement import Leftover
from reconciler.planning.plan import Plan, plan
from reconciler.planning.unified import diff_lines
from reconciler.state import Observed, Resource

TENANT = declared.tenant()


def diffed(before: tuple[Resource, ...], after: tuple[Resource, ...]) -> list[tuple[str, str]]:
    return list(diff_lines(plan((TENANT, *after), declared.observed((TENANT, *before)), declared.SOURCES), "tree"))


def test_nothing_to_do_is_nothing_to_show() -> None:
    orders = declared.topic("orders")
    assert diffed((orders,), (orders,)) == []


def test_a_change_is_shown_with_what_stands_around_it() -> None:
    orders = declared.topic("orders")
    assert diffed((orders,), (declared.topic("orders", partitions=2),)) == [
        ("header", "--- applied: Topic acme/orders"),
        ("header", "+++ tree/acme.yaml:1"),
        ("hunk", "@@ -9,7 +9,7 @@"),
        ("plain", "   displayName: ''"),
        ("plain", "   description: ''"),
        ("plain", "   engine: redis"),
        ("removed", "-  partitions: 1"),
        ("added", "+  partitions: 2"),
        ("plain", "   retention: 7d"),
        ("plain", "   maxBacklog: 10000"),
        ("plain", "   maxMessageSize: 1MiB"),
    ]


def test_what_is_new_and_what_goes_has_nothing_on_the_other_side() -> None:
    new, gone = declared.topic("new", description="für später"), declared.topic("gone")
    keeps = declared.topic("keeps")
    lines = diffed((gone, keeps), (new, keeps))
    assert [line for about, line in lines if about == "header"] == [
        "--- /dev/null",
        "+++ tree/acme.yaml:1",
        "--- applied: Topic acme/gone",
        "+++ /dev/null",
    ]
    added = yaml.safe_load("\n".join(line[1:] for about, line in lines if about == "added"))
    removed = yaml.safe_load("\n".join(line[1:] for about, line in lines if about == "removed"))
    assert (added["metadata"]["name"], added["spec"]) == ("new", new.spec)
    assert (removed["metadata"]["name"], removed["spec"]) == ("gone", gone.spec)
    assert added["managedBy"] == declared.ROOT


def test_a_handover_differs_in_its_owner_alone() -> None:
    orders = declared.topic("orders")
    sources = {**declared.SOURCES, "shops": declared.SOURCES[declared.ROOT]}
    observed = declared.observed((TENANT, declared.managed(orders, "shops")))
    lines = list(diff_lines(plan((TENANT, orders), observed, sources)))
    assert [line for about, line in lines if about in ("added", "removed")] == [
        "-managedBy: shops",
        f"+managedBy: {declared.ROOT}",
    ]


def test_a_repair_shows_what_is_wrong_on_redis() -> None:
    orders = declared.topic("orders")
    observed = declared.observed((TENANT, orders))
    uid = declared.uid_of(orders.identity)
    broken = replace(observed.topics[uid], groups={})
    found = plan((TENANT, orders), replace(observed, topics={**observed.topics, uid: broken}), declared.SOURCES)
    changed = [line for about, line in diff_lines(found) if about in ("added", "removed")]
    assert changed == ["+live:", "+  partitions[0].stream: empty"]


def test_what_an_interrupted_delete_left_is_shown_as_going() -> None:
    left = Plan(changes=(), leftovers=(Leftover("018f", 7, Identity("Topic", "acme", "old")),))
    assert [line for _, line in diff_lines(left)] == [
        "--- applied: Topic acme/old, deleted before",
        "+++ /dev/null",
        "@@ -1,3 +0,0 @@",
        "-kind: Topic",
        "-live:",
        "-  uid: 018f",
    ]


def test_nothing_in_a_manifest_can_pose_as_a_line_of_the_diff() -> None:
    sly = declared.topic("orders", description="one\n+++ two\x1b[31m\u2028three\u202efour")
    lines = diffed((declared.topic("orders"),), (sly,))
    assert [about for about, _ in lines].count("header") == 2
    assert not {"\n", "\x1b", "\u2028", "\u202e"} & set("".join(line for _, line in lines))


def test_nothing_observed_is_all_new() -> None:
    lines = list(diff_lines(plan((TENANT,), Observed({}), declared.SOURCES)))
    assert lines[0] == ("header", "--- /dev/null")
    assert {about for about, _ in lines} == {"header", "hunk", "added"}


def test_the_order_that_postgresql_gives_a_mapping_is_no_difference() -> None:
    orders = replace(declared.topic("orders"), labels={"team": "checkout", "b": "1"})
    shuffled = replace(orders, labels={"b": "1", "team": "checkout"}, spec=dict(sorted(orders.spec.items())))
    wanted = replace(orders, spec={**orders.spec, "state": "paused"})
    changed = [line for about, line in diffed((shuffled,), (wanted,)) if about in ("added", "removed")]
    assert changed == ["-  state: active", "+  state: paused"]
