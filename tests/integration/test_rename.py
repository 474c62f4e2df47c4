"""Renaming in the real stores: everything under a name is kept, whoever gets the name next."""

import json
from collections.abc import Iterator

import psycopg
import pytest
import traffic
from declared import dead_letters, implied, queue, renamed, subscription, tenant, topic
from stores import Opened, applied, opened, planned, uid

from mqops.keys import bucket_of
from mqops.streams import Lane, Stored
from reconciler import apply as apply_module
from reconciler.state import Resource
from reconciler.stores import provision
from reconciler.stores.history import changes_of

ORDERS = topic("orders")
BILLING = subscription("billing", "orders", startFrom="earliest")
LETTERS = implied(dead_letters("orders.deadletter"), BILLING)
ALL = (tenant(), ORDERS, LETTERS, BILLING)

PURCHASES = topic("purchases")
INVOICING = subscription("invoicing", "purchases", startFrom="earliest")
PURCHASES_LETTERS = implied(dead_letters("purchases.deadletter"), INVOICING)
THERE = (tenant(), renamed(PURCHASES, "orders"), PURCHASES_LETTERS, renamed(INVOICING, "billing"))
BACK = (tenant(), renamed(ORDERS, "purchases"), LETTERS, renamed(BILLING, "invoicing"))


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


def lane(stores: Opened, reader: Resource = BILLING, read: Resource = ORDERS, of: Resource = ALL[0]) -> Lane:
    return Lane(bucket_of(uid(stores, of)), uid(stores, reader), uid(stores, read), 0)


def meta(stores: Opened, bucket: int, of: str) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in stores.redis.hgetall(stores.keys.meta(bucket, of)).items()}


def assert_settled(stores: Opened, desired: tuple[Resource, ...]) -> None:
    found = planned(stores, desired)
    assert (found.is_empty, found.refused, found.moved) == (True, (), ())


def test_backlog_position_leases_and_dead_letters_are_kept_there_and_back(stores: Opened, redis_url: str) -> None:
    applied(stores, ALL)
    here, letters = lane(stores), uid(stores, LETTERS)
    traffic.publish(redis_url, here, 1, [b"1", b"2", b"3", b"4", b"5"])
    assert traffic.take(redis_url, here, 1) == [b"1"]
    first, second = traffic.lease(redis_url, here, 2)
    assert applied(stores, THERE).summary == "Applied revision 2: 3 renamed."
    assert_settled(stores, THERE)
    assert (lane(stores, INVOICING, PURCHASES), uid(stores, PURCHASES_LETTERS)) == (here, letters)
    assert meta(stores, here.bucket, here.topic)["name"] == "purchases"
    assert meta(stores, here.bucket, here.subscription)["name"] == "invoicing"
    assert traffic.settle(redis_url, here, [first], reason="rejected") == [True]
    (letter,) = stores.redis.xrange(stores.keys.stream(here.bucket, letters, 0))
    record = json.loads(letter[1][b"x"])
    assert (record["topic"], record["subscription"]) == ("acme/purchases", "acme/invoicing")
    (outcome,) = traffic.publish(redis_url, here, 1, [b"6"])
    assert isinstance(outcome, Stored)
    assert applied(stores, BACK).summary == "Applied revision 3: 3 renamed."
    assert_settled(stores, BACK)
    assert (lane(stores), uid(stores, LETTERS)) == (here, letters)
    assert traffic.settle(redis_url, here, [second]) == [True]
    assert traffic.take(redis_url, here, 10) == [b"4", b"5", b"6"]


def test_saying_it_no_longer_changes_nothing(stores: Opened) -> None:
    applied(stores, ALL)
    applied(stores, THERE)
    silent = (tenant(), PURCHASES, PURCHASES_LETTERS, INVOICING)
    report = applied(stores, silent)
    assert (report.revision, report.done) == (None, ())
    assert_settled(stores, silent)


@pytest.mark.parametrize("at_once", [True, False])
def test_the_old_name_gets_a_uid_of_its_own(stores: Opened, redis_url: str, at_once: bool) -> None:
    applied(stores, ALL)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"old"])
    if not at_once:
        applied(stores, THERE)
    both = (*THERE, ORDERS, LETTERS, BILLING)
    assert applied(stores, both).failed == ()
    assert_settled(stores, both)
    new = lane(stores)
    assert new.bucket == here.bucket
    assert not {new.topic, new.subscription} & {here.topic, here.subscription}
    traffic.publish(redis_url, new, 1, [b"new"])
    assert traffic.take(redis_url, new, 10) == [b"new"]
    assert traffic.take(redis_url, here, 10) == [b"old"]


def test_a_row_that_someone_deleted_is_still_missed_after_a_rename(stores: Opened) -> None:
    applied(stores, ALL)
    applied(stores, THERE)
    before = uid(stores, PURCHASES)
    stores.database.execute("DELETE FROM mq_resources WHERE uid = %s", (before,))
    applied(stores, THERE)
    assert uid(stores, PURCHASES) == before


def test_two_trade_names_once(stores: Opened) -> None:
    left, right = topic("left"), topic("right", partitions=2)
    applied(stores, (tenant(), left, right))
    uids = uid(stores, left), uid(stores, right)
    crossed = (tenant(), renamed(topic("left", partitions=2), "right"), renamed(topic("right"), "left"))
    assert applied(stores, crossed).summary == "Applied revision 2: 2 renamed."
    assert (uid(stores, right), uid(stores, left)) == uids
    assert_settled(stores, crossed)
    silent = (tenant(), topic("left", partitions=2), topic("right"))
    applied(stores, silent)
    applied(stores, (tenant(), renamed(topic("left"), "right"), renamed(topic("right", partitions=2), "left")))
    assert (uid(stores, left), uid(stores, right)) == uids


def test_a_queue_keeps_what_it_implies(stores: Opened, redis_url: str) -> None:
    def of(name: str, former: str | None = None) -> tuple[Resource, ...]:
        whole = queue(name)
        reader = implied(subscription(name, name, startFrom="earliest"), whole)
        letters = implied(dead_letters(f"{name}.deadletter"), reader)
        return tenant(), letters, whole if former is None else renamed(whole, former), reader

    applied(stores, of("jobs"))
    here = lane(stores, subscription("jobs", "jobs"), queue("jobs"))
    traffic.publish(redis_url, here, 1, [b"1", b"2"])
    assert traffic.take(redis_url, here, 1) == [b"1"]
    wanted = of("tasks", "jobs")
    assert applied(stores, wanted).summary == "Applied revision 2: 3 renamed."
    assert_settled(stores, wanted)
    assert lane(stores, subscription("tasks", "tasks"), queue("tasks")) == here
    assert traffic.take(redis_url, here, 10) == [b"2"]


def test_a_tenant_keeps_its_bucket_and_its_readers_elsewhere(stores: Opened, redis_url: str) -> None:
    def of(owner: Resource) -> tuple[Resource, ...]:
        name = owner.identity.name
        reader = subscription("billing", "orders", name, startFrom="earliest")
        letters = implied(dead_letters("orders.deadletter", name), reader)
        watch = subscription("watch", f"{name}/orders", "hooli", deadLetter=None, startFrom="earliest")
        return owner, tenant("hooli"), topic("orders", name, public=True), letters, reader, watch

    applied(stores, of(tenant()))
    here = lane(stores)
    watching = lane(stores, subscription("watch", "acme/orders", "hooli", deadLetter=None))
    traffic.publish(redis_url, here, 1, [b"1", b"2"])
    assert traffic.take(redis_url, here, 1) == [b"1"]
    wanted = of(renamed(tenant("globex"), "acme"))
    assert applied(stores, wanted).summary == "Applied revision 2: 1 updated, 4 renamed."
    assert_settled(stores, wanted)
    globex = tenant("globex")
    assert lane(stores, subscription("billing", "orders", "globex"), topic("orders", "globex"), globex) == here
    assert meta(stores, here.bucket, here.topic)["tenant"] == "globex"
    assert traffic.take(redis_url, here, 10) == [b"2"]
    assert traffic.take(redis_url, watching, 10) == [b"1", b"2"]
    both = (*wanted, *ALL)
    assert applied(stores, both).failed == ()  # the name is there for another
    assert_settled(stores, both)


def test_the_history_goes_on_under_the_new_name(stores: Opened) -> None:
    applied(stores, ALL)
    both = (*THERE, ORDERS, LETTERS, BILLING)
    applied(stores, both)
    rename, create = changes_of(stores.database, PURCHASES.identity, 10)
    assert (create.action, create.revision, rename.action, rename.revision) == ("create", 1, "rename", 2)
    assert rename.after is not None
    assert rename.after["renamedFrom"] == "Topic acme/orders"
    (new,) = changes_of(stores.database, ORDERS.identity, 10)
    assert (new.action, new.revision) == ("create", 2)


def test_a_rename_that_redis_refuses_keeps_the_name_from_the_next(
    stores: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(stores, ALL)
    before = uid(stores, ORDERS)
    call = provision._outcome

    def refusing(answer: object, step: provision.Step) -> str | None:
        return "Redis refuses: test" if step.owner == PURCHASES.identity else call(answer, step)

    both = (*THERE, ORDERS, LETTERS, BILLING)
    with monkeypatch.context() as patched:
        patched.setattr(provision, "_outcome", refusing)
        report = applied(stores, both)
    assert PURCHASES.identity in {failure.identity for failure in report.failed}
    assert uid(stores, ORDERS) == before
    assert not {failure.identity for failure in report.failed} & {change.identity for change in report.done}
    applied(stores, both)
    assert uid(stores, PURCHASES) == before
    assert_settled(stores, both)


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("steps", range(9))
@pytest.mark.parametrize("goes_on", [True, False])
def test_killed_at_any_call_it_converges(
    stores: Opened, redis_url: str, monkeypatch: pytest.MonkeyPatch, steps: int, goes_on: bool
) -> None:
    """Onwards or back."""
    applied(stores, ALL)
    here = lane(stores)
    traffic.publish(redis_url, here, 1, [b"1", b"2"])
    left, killed = steps, False
    call, commit = provision._call, apply_module.commit

    def fatal(*arguments: object) -> object:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return (commit if isinstance(arguments[0], psycopg.Connection) else call)(*arguments)

    both = (*THERE, ORDERS, LETTERS, BILLING)
    with monkeypatch.context() as patched:
        patched.setattr(provision, "_CALLS_AT_ONCE", 1)
        patched.setattr(provision, "_call", fatal)
        patched.setattr(apply_module, "commit", fatal)
        try:
            applied(stores, both)
        except Killed:
            killed = True
    assert killed == (steps < 7), "the number of calls has changed: adapt the range of this test"
    is_done = not killed
    wanted = both if goes_on or is_done else ALL
    applied(stores, wanted)
    assert_settled(stores, wanted)
    reader, read = (INVOICING, PURCHASES) if wanted is both else (BILLING, ORDERS)
    assert lane(stores, reader, read) == here
    assert traffic.take(redis_url, here, 10) == [b"1", b"2"]
