"""Replacing in the real stores: what goes, what stays, what the history tells, and what a failure leaves."""

from collections.abc import Iterator

import pytest
import traffic
from declared import (
    SOURCES,
    dead_letters,
    implied,
    queue,
    respecified,
    subscription,
    tenant,
    topic,
)
from stores import TESTER, Opened, applied, opened, planned, uid

from mqops.keys import bucket_of
from mqops.streams import Lane, NotStored, Reason, Stored
from reconciler import apply as apply_module
from reconciler.apply import apply
from reconciler.planning.change import Action
from reconciler.planning.guard import guard
from reconciler.planning.plan import plan
from reconciler.planning.target import Step
from reconciler.state import Resource
from reconciler.stores import provision, revisions
from reconciler.stores.cost import read_costs
from reconciler.stores.observe import observe

ORDERS = topic("orders", partitions=4)
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter", partitions=2), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)
FEWER = (tenant(), respecified(ORDERS, partitions=2), LETTERS, BILLING)


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


def lane(stores: Opened, read: Resource = ORDERS, reader: Resource = BILLING, partition: int = 0) -> Lane:
    return Lane(bucket_of(uid(stores, tenant())), uid(stores, reader), uid(stores, read), partition)


def keys(stores: Opened) -> set[bytes]:
    """Without those that come and go with messages."""
    moving = (b":ready", b":due", b":armed", b":lease", b":flight")
    return {key for key in stores.redis.scan_iter() if not key.endswith(moving)}


def deeds(stores: Opened, desired: tuple[Resource, ...]) -> list[str]:
    return [f"{change.action} {change.identity.name}" for change in planned(stores, desired).changes]


def test_the_new_topic_is_empty_and_shares_nothing_with_the_old_one(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    old = lane(stores)
    traffic.publish(redis_url, old, 1, [b"1", b"2"])
    traffic.lease(redis_url, old, 1)
    assert deeds(stores, FEWER) == [
        "replace orders",
        "update orders.deadletter",
        "replace billing",
    ]
    letters = uid(stores, LETTERS)
    assert applied(stores, FEWER).summary == "Applied revision 2: 1 updated, 2 replaced."
    assert planned(stores, FEWER).is_empty
    assert uid(stores, LETTERS) == letters
    new = lane(stores)
    assert {new.topic, new.subscription}.isdisjoint({old.topic, old.subscription})
    names = b" ".join(keys(stores)).decode()
    assert old.topic not in names
    assert old.subscription not in names
    assert traffic.publish(redis_url, old, 1, [b"late"]) == [NotStored(Reason.GONE)]
    (stored,) = traffic.publish(redis_url, new, 1, [b"3"])
    assert isinstance(stored, Stored)
    assert traffic.take(redis_url, new, 10) == [b"3"]


def test_a_subscription_that_begins_elsewhere_reads_again_what_the_topic_holds(stores: Opened, redis_url: str) -> None:
    late = respecified(BILLING, startFrom="latest")
    applied(stores, (tenant(), ORDERS, LETTERS, late))
    traffic.publish(redis_url, lane(stores), 1, [b"1", b"2"])
    assert traffic.take(redis_url, lane(stores), 10) == [b"1", b"2"]
    applied(stores, ALL)
    assert planned(stores, ALL).is_empty
    assert traffic.take(redis_url, lane(stores), 10) == [b"1", b"2"]


def test_who_sends_dead_letters_to_a_replaced_topic_sends_them_to_the_new_one(stores: Opened) -> None:
    letters = dead_letters("orders.deadletter", partitions=2)
    wanted = (tenant(), ORDERS, respecified(letters, partitions=1), BILLING)
    applied(stores, (tenant(), ORDERS, letters, BILLING))
    before = uid(stores, BILLING)
    assert deeds(stores, wanted) == ["replace orders.deadletter"]
    applied(stores, wanted)
    assert planned(stores, wanted).is_empty
    here = lane(stores)
    assert here.subscription == before
    dead = stores.redis.hget(stores.keys.meta(here.bucket, here.subscription), "dead")
    assert dead == f"{stores.keys.bucket(here.bucket)}{uid(stores, letters)}".encode()


def test_a_topic_becomes_a_queue_and_a_topic_again(stores: Opened) -> None:
    jobs = queue("orders", deadLetter="orders.deadletter")
    reader = implied(subscription("orders", "orders", startFrom="earliest"), jobs)
    queued = (tenant(), jobs, implied(dead_letters("orders.deadletter"), reader), reader)
    plain = (tenant(), topic("orders"))
    applied(stores, plain)
    before = keys(stores)
    for wanted in (queued, plain, queued, plain):
        applied(stores, wanted)
        assert planned(stores, wanted).is_empty
    assert len(keys(stores)) == len(before)


def test_a_revision_knows_what_was_there_and_what_took_its_place(stores: Opened) -> None:
    applied(stores, ALL)
    old = uid(stores, ORDERS)
    applied(stores, FEWER)
    then, now = (revisions.read_state(stores.database, number) for number in (1, 2))
    assert (then[old].spec["partitions"], old in now) == (4, False)
    assert [resource.spec["partitions"] for resource in now.values() if resource.identity == ORDERS.identity] == [2]
    assert {resource.implied_by for resource in now.values()} == {None, BILLING.identity}
    recorded = {entry.change.identity.name: entry.change for entry in revisions.read_changes(stores.database, 2)}
    change = recorded["orders"]
    assert (change.action, change.forced_by) == (Action.REPLACE, ("spec.partitions",))
    assert change.gone is not None
    assert (change.gone.uid, change.uid) == (old, uid(stores, ORDERS))
    assert [field.path for field in change.fields] == ["spec.partitions"]


def test_what_fills_up_after_the_plan_is_not_replaced_and_is_open_again(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    before = keys(stores)
    seen = observe(stores)
    found = plan(FEWER, seen, SOURCES)
    found = guard(found, seen, SOURCES, read_costs(stores, seen, found.changes))
    assert len(found.changes) == 3
    traffic.publish(redis_url, lane(stores), 1, [b"late"])
    report = apply(found, seen, stores, TESTER)
    assert report.done == ()
    told = {failure.identity.name: failure.message for failure in report.failed}
    assert told["orders"] == "it held nothing unfinished when the plan was made, and 1 by now: plan again"
    assert keys(stores) == before
    assert planned(stores, ALL).is_empty
    (stored,) = traffic.publish(redis_url, lane(stores), 1, [b"open"])
    assert isinstance(stored, Stored)
    assert traffic.take(redis_url, lane(stores), 5) == [b"late", b"open"]


@pytest.mark.parametrize("failing", ["billing", "orders"])
def test_what_cannot_be_prepared_stays_what_it_was_and_leaves_nothing(
    stores: Opened, redis_url: str, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """And a subscription that is new, of what would have been new, is not left without its topic."""
    applied(stores, ALL)
    traffic.publish(redis_url, lane(stores), 1, [b"1"])
    before, run = keys(stores), provision.run

    def refusing(redis: object, keys: object, steps: list[Step], goes_on: object) -> list[str | None]:
        outcomes = run(redis, keys, steps, goes_on)  # type: ignore[arg-type]
        is_hit = [step.owner.name == failing and step.script.startswith("prepare") for step in steps]
        return ["Redis refuses: OOM" if hit else outcome for hit, outcome in zip(is_hit, outcomes, strict=True)]

    wanted = (*FEWER, subscription("reader", "orders"))
    with monkeypatch.context() as patched:
        patched.setattr(apply_module.provision, "run", refusing)
        report = applied(stores, wanted)
    assert {failure.identity.name for failure in report.failed} == {"orders", "orders.deadletter", "billing", "reader"}
    assert planned(stores, ALL).is_empty
    assert keys(stores) == before
    assert traffic.take(redis_url, lane(stores), 5) == [b"1"]
    applied(stores, wanted)
    assert planned(stores, wanted).is_empty


def test_what_another_apply_is_about_to_take_up_is_not_removed_as_left_behind(
    stores: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tree's apply may see what a replace has prepared before the catalog has it, and remove it after."""
    applied(stores, ALL)
    found = []
    commit = apply_module.commit

    def seen_from_elsewhere(*given: object) -> int:
        seen = observe(stores)
        found.append((plan([], seen, {}), seen))
        return commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(apply_module, "commit", seen_from_elsewhere)
    applied(stores, FEWER)
    ((stale, seen),) = found
    assert len(stale.leftovers) == 2
    apply(stale, seen, stores, TESTER)
    assert planned(stores, FEWER).is_empty


def test_a_new_reader_of_the_new_topic_is_nobodys_until_the_catalog_has_both(
    stores: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found again by its name, it would be taken for a reader of the topic that the killed apply had prepared."""
    applied(stores, ALL)
    wanted = (*FEWER, subscription("reader", "orders"))

    class Killed(BaseException):
        pass

    def fatal(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(apply_module, "commit", fatal)
        with pytest.raises(Killed):
            applied(stores, wanted)
    assert len(planned(stores, wanted).leftovers) == 3
    applied(stores, wanted)
    assert planned(stores, wanted).is_empty


def test_what_goes_stays_closed_while_its_tenant_closes(stores: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of all that a tenant has used to be written again after what goes was closed: open, and never found
    as left behind."""
    applied(stores, ALL)
    seen: list[bool] = []
    bucket, gone = bucket_of(uid(stores, tenant())), uid(stores, ORDERS)
    commit = apply_module.commit

    def looking(*given: object) -> int:
        seen.append(bool(stores.redis.hexists(stores.keys.meta(bucket, gone), "closing")))
        return commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(apply_module, "commit", looking)
    applied(stores, (tenant(state="closing"),))
    assert seen == [True]


def test_what_an_operator_paused_stays_paused_as_the_new_one(stores: Opened) -> None:
    applied(stores, ALL)
    stores.database.execute(
        "INSERT INTO mq_runtime (uid, override_state, override_by, override_since) VALUES (%s, 'paused', 'ann', now())",
        (uid(stores, BILLING),),
    )
    applied(stores, FEWER)
    kept = stores.database.execute("SELECT uid::text, override_state, override_by FROM mq_runtime").fetchall()
    assert kept == [(uid(stores, BILLING), "paused", "ann")]
