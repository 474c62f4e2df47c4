"""The catalog's views: found by name and uid, and patched into what a fresh build would be."""

import json
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqops.catalog import Catalog, Row, SnapshotRefused, read_snapshot
from mqops.catalog.patch import News, patch
from mqops.catalog.snapshot import Snapshot, read_header, write_snapshot
from mqops.keys import bucket_of
from mqops.model import KINDS
from mqops.override import Override

EMPTY = Catalog(installation="i", environment="default")
NONE: Mapping[str, Override] = {}

_SPECS: dict[str, dict[str, Any]] = {
    "Tenant": {},
    "Topic": {},
    "Queue": {},
    "Handler": {"type": "http", "http": {"url": "https://example.test/"}},
    "Subscription": {"topic": "orders"},
    "Credential": {"principal": "checkout", "keys": [{"sha256": "a" * 64}]},
    "Source": {"path": "x"},
}


def uid(number: int) -> str:
    return str(UUID(int=number))


def row(number: int, kind: str, tenant: str, name: str, implied_by: str | None = None, **spec: Any) -> Row:
    model = KINDS[kind].spec.model_validate({**_SPECS[kind], **spec})
    return Row(uid(number), kind, tenant, name, 1, 1, implied_by, model.model_dump_json(by_alias=True))


def patched(
    base: Catalog,
    rows: Iterable[Row],
    deleted: Iterable[str] = (),
    revision: int = 1,
    overrides: Mapping[str, Override] = NONE,
) -> Catalog:
    steps = patch(base, News(deleted, rows, overrides), revision)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            catalog: Catalog = finished.value
            return catalog


def plain(catalog: Catalog) -> dict[str, Any]:
    """Everything but the order in which readers and keys were met."""
    return {
        "rows": catalog.rows,
        "unusable": catalog.unusable,
        "topics": catalog.topics_by_uid,
        "topic names": catalog.topics_by_name,
        "subscriptions": catalog.subscriptions_by_uid,
        "subscription names": catalog.subscriptions_by_name,
        "handlers": catalog.handlers_by_name,
        "tenants": catalog.tenants,
        "naming": catalog.naming,
        "overrides": catalog.overrides,
        "readers": {topic: {entry.uid: entry for entry in readers} for topic, readers in catalog.readers.items()},
        "keys": {digest: set(entries) for digest, entries in catalog.keys.items()},
    }


# What a history of applies may hold: two tenants, few names, so that things meet, move and go away.
_tenants = st.sampled_from(["acme", "globex"])
_topics = st.sampled_from(["orders", "users", "orders.dead"])
_references = st.one_of(_topics, st.builds("{}/{}".format, _tenants, _topics))
_rows = st.one_of(
    st.builds(lambda n, name: row(n, "Tenant", "", name), st.integers(1, 2), _tenants),
    st.builds(
        lambda n, kind, tenant, name, partitions: row(n, kind, tenant, name, partitions=partitions),
        st.integers(11, 16),
        st.sampled_from(["Topic", "Queue"]),
        _tenants,
        _topics,
        st.integers(1, 3),
    ),
    st.builds(
        lambda n, tenant, name, topic, handler, dead: row(
            n, "Subscription", tenant, name, topic=topic, handler=handler, deadLetter=dead
        ),
        st.integers(21, 26),
        _tenants,
        st.sampled_from(["billing", "audit"]),
        _references,
        st.sampled_from([None, "hook"]),
        st.none() | _topics,
    ),
    st.builds(lambda n, tenant: row(n, "Handler", tenant, "hook"), st.integers(31, 33), _tenants),
    st.builds(
        lambda n, tenant, digest: row(n, "Credential", tenant, f"key-{n}", keys=[{"sha256": digest * 64}]),
        st.integers(41, 44),
        _tenants,
        st.sampled_from("ab"),
    ),
)
_overrides = st.dictionaries(
    st.integers(21, 26).map(uid), st.builds(Override, st.sampled_from(["active", "paused"]), st.just("ann"), st.just(1))
)
_changes = st.lists(
    st.tuples(st.lists(st.integers(1, 50).map(uid), max_size=3), st.lists(_rows, max_size=5), _overrides)
)


def _without_clashes(rows: dict[str, Row], new: list[Row]) -> list[Row]:
    """As the database has it: one row a uid, one of a name, and topics and queues share their names."""

    def place(row: Row) -> tuple[str, str, str]:
        return ("Topic" if row.kind == "Queue" else row.kind, row.tenant, row.name)

    kept: dict[str, Row] = {}
    for one in new:
        known = rows.get(one.uid)
        if known is None or place(known)[0] == place(one)[0]:
            kept.setdefault(one.uid, one)
    # Names may trade places within one change, and are unique after it.
    while clash := _clash({**rows, **kept}.values(), kept, place):
        del kept[clash]
    return list(kept.values())


def _clash(rows: Iterable[Row], new: dict[str, Row], place: Callable[[Row], tuple[str, str, str]]) -> str | None:
    """The uid of one of ``new`` whose name another has too."""
    taken: dict[tuple[str, str, str], str] = {}
    for row in rows:
        other = taken.setdefault(place(row), row.uid)
        if other != row.uid:
            return row.uid if row.uid in new else other
    return None


@settings(max_examples=300)
@given(_changes)
def test_patching_gives_what_a_fresh_build_gives(
    changes: list[tuple[list[str], list[Row], dict[str, Override]]],
) -> None:
    catalog, rows = EMPTY, dict[str, Row]()
    for revision, (deleted, new, overrides) in enumerate(changes, start=1):
        for gone in deleted:
            rows.pop(gone, None)
        put = _without_clashes(rows, new)
        rows |= {one.uid: one for one in put}
        catalog = patched(catalog, put, deleted, revision, overrides)
        fresh = patched(EMPTY, rows.values(), revision=revision, overrides=overrides)
        assert plain(catalog) == plain(fresh)


def test_a_patch_leaves_the_view_it_started_from_alone() -> None:
    before = patched(EMPTY, [row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders")])
    remembered = plain(before)
    patched(before, [row(2, "Topic", "acme", "orders", partitions=3)], [uid(1)], 2)
    assert plain(before) == remembered


def test_a_topic_is_found_by_name_and_by_uid_in_its_own_tenant_alone() -> None:
    catalog = patched(EMPTY, [row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders")])
    topic = catalog.topic("acme", "orders")
    assert topic is not None
    assert topic is catalog.topic("acme", uid(2))
    assert topic.bucket == bucket_of(uid(1))
    assert catalog.topic("globex", "orders") is None
    assert catalog.topic("globex", uid(2)) is None


def test_a_subscription_finds_its_topic_in_another_tenant() -> None:
    catalog = patched(
        EMPTY,
        [
            row(1, "Tenant", "", "acme"),
            row(2, "Tenant", "", "globex"),
            row(3, "Topic", "acme", "orders", public=True),
            row(4, "Subscription", "globex", "orders-of-acme", topic="acme/orders"),
        ],
    )
    subscription = catalog.subscription("globex", "orders-of-acme")
    assert subscription is not None
    assert (subscription.topic.tenant, subscription.topic.bucket) == ("acme", bucket_of(uid(1)))
    assert catalog.subscriptions_of(uid(3)) == (subscription,)


def test_a_queue_has_its_implied_subscription() -> None:
    catalog = patched(
        EMPTY,
        [
            row(1, "Tenant", "", "acme"),
            row(2, "Queue", "acme", "jobs"),
            row(3, "Subscription", "acme", "jobs", implied_by=uid(2), topic="jobs"),
        ],
    )
    assert catalog.queue_subscription(uid(2)) is catalog.subscription("acme", "jobs")


def test_a_topic_is_a_dead_letter_topic_for_as_long_as_somebody_says_so() -> None:
    rows = [row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders"), row(3, "Topic", "acme", "dead")]
    catalog = patched(EMPTY, [*rows, row(4, "Subscription", "acme", "billing", deadLetter="dead")])
    dead = catalog.topic("acme", "dead")
    assert dead is not None
    assert dead.is_dead_letter
    dead = patched(catalog, [], [uid(4)], 2).topic("acme", "dead")
    assert dead is not None
    assert not dead.is_dead_letter


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"topic": "nowhere"}, "its topic 'nowhere'"),
        ({"topic": "orders", "handler": "nobody"}, "its handler 'nobody'"),
    ],
)
def test_what_names_something_missing_waits_for_it(spec: dict[str, Any], words: str) -> None:
    base = [row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders")]
    waiting = row(3, "Subscription", "acme", "billing", **spec)
    catalog = patched(EMPTY, [*base, waiting])
    assert catalog.subscription("acme", "billing") is None
    assert words in (catalog.why_unusable(("Subscription",), "acme", "billing") or "")
    catalog = patched(catalog, [row(4, "Topic", "acme", "nowhere"), row(5, "Handler", "acme", "nobody")], revision=2)
    assert catalog.subscription("acme", "billing") is not None
    assert not catalog.unusable


@pytest.mark.parametrize(
    "bad",
    [
        Row(uid(9), "Volcano", "acme", "etna", 1, 1, None, "{}"),
        Row(uid(9), "Subscription", "acme", "bad", 1, 1, None, json.dumps({"topic": "orders", "filter": "payload.+"})),
        Row(uid(9), "Topic", "acme", "bad", 1, 1, None, json.dumps({"partitions": -1})),
        Row(uid(9), "Topic", "acme", "bad", 1, 1, None, json.dumps({"fromTheFuture": True})),
        Row(uid(9), "Topic", "acme", "bad", 1, 1, None, "not json"),
        Row(uid(9), "Topic", "nobody", "bad", 1, 1, None, "{}"),
    ],
    ids=["kind", "filter", "value", "field", "json", "tenant"],
)
def test_a_row_that_cannot_be_used_is_set_aside_and_the_rest_goes_on(bad: Row) -> None:
    catalog = patched(EMPTY, [bad, row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders")])
    assert catalog.topic("acme", "orders") is not None
    assert list(catalog.unusable) == [uid(9)]
    assert catalog.why_unusable((bad.kind,), bad.tenant, bad.name) == catalog.unusable[uid(9)].reason
    assert not patched(catalog, [], [uid(9)], 2).unusable


def test_a_key_that_two_principals_claim_is_nobodys() -> None:
    mine = row(1, "Credential", "acme", "checkout", principal="checkout", keys=[{"sha256": "b" * 64}])
    copied = row(2, "Credential", "globex", "thief", principal="thief", keys=[{"sha256": "b" * 64}])
    catalog = patched(EMPTY, [mine])
    key = catalog.key("b" * 64)
    assert key is not None
    assert (key.principal.tenant, key.principal.name) == ("acme", "checkout")
    catalog = patched(catalog, [copied], revision=2)
    assert catalog.key("b" * 64) is None
    assert patched(catalog, [], [uid(2)], 3).key("b" * 64) == key


def test_an_override_goes_before_what_is_declared_until_its_time_is_up() -> None:
    rows = [row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders")]
    readers = [row(3, "Subscription", "acme", "active"), row(4, "Subscription", "acme", "paused", state="paused")]
    overrides = {
        uid(3): Override("paused", "ann", 1, "", 1000),
        uid(4): Override("active", "ann", 1),
        uid(9): Override("paused", "ann", 1),  # of something that is not there
    }
    catalog = patched(EMPTY, [*rows, *readers], overrides=overrides)

    def paused(now_ms: int) -> dict[str, bool]:
        return {entry.name: entry.is_paused(now_ms) for entry in catalog.subscriptions_by_uid.values()}

    assert paused(999) == {"active": True, "paused": False}
    assert paused(1000) == {"active": False, "paused": False}
    untouched = catalog.topic("acme", "orders")
    catalog = patched(catalog, [], revision=1)
    assert paused(0) == {"active": False, "paused": True}
    assert catalog.topic("acme", "orders") is untouched


# The snapshot

SNAPSHOT = Snapshot(
    "i",
    "default",
    7,
    [row(1, "Tenant", "", "acme"), row(2, "Topic", "acme", "orders")],
    {uid(3): Override("paused", "acme/ann", 1, "incident 7", 2)},
)


def test_a_snapshot_is_read_back_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "catalog.snapshot"
    write_snapshot(path, SNAPSHOT)
    assert read_snapshot(path, "default") == SNAPSHOT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["catalog.snapshot"]
    header = read_header(path)
    assert header is not None
    assert (header.installation, header.revision) == ("i", 7)


def test_no_snapshot_is_none(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path / "catalog.snapshot", "default") is None
    assert read_header(tmp_path / "catalog.snapshot") is None


def test_a_snapshot_of_another_environment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.snapshot"
    write_snapshot(path, SNAPSHOT)
    with pytest.raises(SnapshotRefused, match="belongs to environment 'default', this process to 'production'"):
        read_snapshot(path, "production")


@given(position=st.integers(0), mask=st.integers(1, 255))
def test_a_snapshot_with_any_byte_changed_is_never_read_as_another(
    tmp_path_factory: pytest.TempPathFactory, position: int, mask: int
) -> None:
    path = tmp_path_factory.mktemp("state") / "catalog.snapshot"
    write_snapshot(path, SNAPSHOT)
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= mask
    path.write_bytes(data)
    try:
        found = read_snapshot(path, "default")
    except SnapshotRefused:
        return
    assert found == SNAPSHOT  # the byte was padding, or the header's note of what the body says itself


@pytest.mark.parametrize("keep", [0, 10, 191, 192, 250])
def test_a_snapshot_that_was_cut_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "catalog.snapshot"
    write_snapshot(path, SNAPSHOT)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SnapshotRefused):
        read_snapshot(path, "default")
