"""The history read back from a real database: what was at a revision, and what the first version recorded of it."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from declared import dead_letters, implied, queue, respecified, subscription, tenant, topic
from stores import Opened, applied, opened

from mqops.errors import ConfigurationError
from mqops.model import Identity
from reconciler.planning.change import Action, FieldChange, Reason
from reconciler.planning.fields import is_same
from reconciler.state import Resource
from reconciler.stores import migrate
from reconciler.stores.revisions import read_changes, read_revisions, read_state

JOBS = queue("jobs")
READER = implied(subscription("jobs", "jobs", startFrom="earliest", deadLetter="jobs.deadletter"), JOBS)
LETTERS = implied(dead_letters("jobs.deadletter"), READER)
ORDERS = topic("orders")


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Opened]:
    with opened(database_url, redis_url) as stores:
        yield stores


def state(stores: Opened, revision: int) -> dict[Identity, Resource]:
    return {resource.identity: resource for resource in read_state(stores.database, revision).values()}


def test_the_state_at_each_revision_is_what_was_desired_then(stores: Opened) -> None:
    """Also of what was deleted and made anew since, and of what a queue brought along."""
    desired = [
        (tenant(), ORDERS),
        (tenant(), ORDERS, JOBS, READER, LETTERS),
        (tenant(), JOBS, READER, LETTERS),
        (tenant(), respecified(ORDERS, maxBacklog=5)),
    ]
    for resources in desired:
        applied(stores, resources)
    for revision, resources in enumerate(desired, 1):
        found = state(stores, revision)
        assert set(found) == {resource.identity for resource in resources}
        assert all(is_same(found[resource.identity], resource) for resource in resources)
    assert state(stores, 4)[ORDERS.identity].spec["maxBacklog"] == 5


def test_what_failed_was_not_there(stores: Opened) -> None:
    applied(stores, (tenant(),))
    stores.database.execute(
        "INSERT INTO mq_changes (revision, sequence, action, uid, kind, tenant, name, managed_by, after, error)"
        " VALUES (1, 9, 'create', gen_random_uuid(), 'Topic', 'acme', 'orders', 'platform', '{}', 'no')"
    )
    assert set(state(stores, 1)) == {tenant().identity}


def test_a_field_that_came_since_has_its_default_and_one_that_went_is_refused(stores: Opened) -> None:
    applied(stores, (tenant(), ORDERS))
    edit = "UPDATE mq_changes SET after = jsonb_set(after #- '{spec,format}', '{spec,state}', %s) WHERE name = 'orders'"
    stores.database.execute(edit, ('"active"',))
    assert state(stores, 1)[ORDERS.identity].spec == ORDERS.spec
    stores.database.execute(edit, ('"sideways"',))
    with pytest.raises(ConfigurationError, match="Topic acme/orders of revision 1 is of a form that this version does"):
        state(stores, 1)


FIRST, PARENT, CHILD = "2026-01-01T00:00:00Z", UUID(int=1), UUID(int=2)


@pytest.fixture
def old(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A database with the history of the version before commits and reasons were recorded, brought to this one."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "load_migrations", lambda found=migrate.load_migrations: found()[:1])
            migrate.migrate(connection)
        _record_as_of_old(connection)
        migrate.migrate(connection)
        yield connection


def _record_as_of_old(connection: psycopg.Connection[Any]) -> None:
    for revision in (1, 2):
        connection.execute(
            "INSERT INTO mq_revisions (revision, actor, trigger, summary, applied_at)"
            " VALUES (%s, 'ann@here', 'apply', '{}', %s)",
            (revision, FIRST),
        )
    for sequence, (uid, resource, parent) in enumerate(((PARENT, JOBS, None), (CHILD, READER, PARENT))):
        told = {"labels": {}, "annotations": {}, "managedBy": "platform", "file": "a.yaml", "line": 1, "generation": 1}
        after = {**told, "spec": dict(resource.spec)}
        repaired = {**after, "repaired": {"reason": "group_missing", "fields": ["live.partitions[0].group"]}}
        for revision, action, text in ((1, "create", after), (2, "repair", repaired)):
            connection.execute(
                "INSERT INTO mq_changes (revision, sequence, action, uid, kind, tenant, name, managed_by, before,"
                " after) VALUES (%s, %s, %s, %s, %s, %s, %s, 'platform', %s, %s)",
                (
                    *(revision, sequence, action, uid, *resource.identity),
                    *(None if action == "create" else json.dumps(after), json.dumps(text)),
                ),
            )
        connection.execute(
            "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, implied_by, revision)"
            " VALUES (%s, %s, %s, %s, %s, 'platform', %s, 1)",
            (uid, *resource.identity, json.dumps(dict(resource.spec)), parent),
        )


def test_what_the_first_version_recorded_can_still_be_read_and_gone_back_to(
    old: psycopg.Connection[Any],
) -> None:
    found = read_revisions(old, 10)
    assert [(it.number, it.sources, it.author.commit) for it in found] == [
        (2, ("platform",), None),
        (1, ("platform",), None),
    ]
    created, repaired = (read_changes(old, number)[1].change for number in (1, 2))
    assert (created.action, created.reason, created.resource.implied_by) == (
        Action.CREATE,
        Reason.DECLARED,
        JOBS.identity,
    )
    assert (repaired.reason, repaired.fields) == (
        Reason.GROUP_MISSING,
        (FieldChange("live.partitions[0].group", None, None),),
    )
    (parent, child) = read_state(old, 2).values()
    assert (parent.identity, child.implied_by) == (JOBS.identity, JOBS.identity)
