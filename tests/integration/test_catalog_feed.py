"""The catalog following a real PostgreSQL: fresh after an apply, and still there when the database is not."""

import asyncio
import threading
from pathlib import Path

import psycopg
import pytest
import uvloop
from databases import away
from installation import Installation, following
from waiting import eventually_async

from mqops.catalog import Catalog, CatalogFeed, Row, read_snapshot
from mqops.catalog.snapshot import Snapshot, write_snapshot
from mqops.errors import ConfigurationError

NOBODY_LISTENS = "postgresql://postgres@127.0.0.1:1/mqops"


@pytest.fixture
def installation(database_url: str, redis_url: str) -> Installation:
    installation = Installation(database_url, redis_url)
    installation.tenant("acme")
    installation.topic("acme", "orders")
    return installation


def test_an_apply_is_seen_within_a_second(installation: Installation, database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            seen: list[Catalog] = []
            feed.on_change(seen.append)
            installation.topic("acme", "users")
            await eventually_async(lambda: feed.current.topic("acme", "users") is not None, 1.0)
            assert seen[-1] is feed.current
            installation.put("Topic", "acme", "users", {"partitions": 3})
            await eventually_async(lambda: partitions(feed, "users") == 3, 1.0)
            installation.delete("Topic", "acme", "users")
            await eventually_async(lambda: feed.current.topic("acme", "users") is None, 1.0)
            assert feed.current.topic("acme", "orders") is not None

    uvloop.run(scenario())


def partitions(feed: CatalogFeed, topic: str) -> int:
    found = feed.current.topic("acme", topic)
    return found.spec.partitions if found is not None else 0


def test_a_refresh_sees_what_was_applied_before_it_whoever_else_asks(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            for count in range(2, 6):
                installation.put("Topic", "acme", "orders", {"partitions": count})
                await asyncio.gather(*(feed.refresh() for _ in range(50)))
                assert partitions(feed, "orders") == count
            revision = feed.current.revision
            assert await feed.refresh(min_revision=revision) is feed.current

    uvloop.run(scenario())


@pytest.mark.parametrize("turns", range(6))
def test_a_feed_that_is_woken_as_it_is_stopped_stops(
    installation: Installation, database_url: str, tmp_path: Path, turns: int
) -> None:
    """`asyncio.wait_for` of Python 3.11 took the cancellation for the waking, and the process went on for ever."""

    async def scenario() -> None:
        feed = CatalogFeed(database_url, "default", tmp_path / "catalog.snapshot")
        await feed.start()
        await asyncio.sleep(0.1)
        waking = asyncio.create_task(feed.refresh())
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await feed.stop()
        waking.cancel()

    uvloop.run(scenario())


def test_what_a_repair_put_back_and_a_row_that_vanished_are_noticed_with_the_next_revision(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            installation.topic("acme", "vanishes")
            await feed.refresh()
            with psycopg.connect(database_url) as database:  # somebody's hand: no revision, no history
                database.execute("DELETE FROM mq_resources WHERE name = 'vanishes'")
            installation.topic("acme", "other")
            await feed.refresh()
            assert feed.current.topic("acme", "vanishes") is None
            assert feed.current.topic("acme", "other") is not None

    uvloop.run(scenario())


def test_an_older_database_put_back_in_place_is_read_anew(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            installation.topic("acme", "after-the-backup")
            await feed.refresh()
            with psycopg.connect(database_url) as database:
                database.execute("DELETE FROM mq_resources WHERE name = 'after-the-backup'")
                database.execute("UPDATE mq_instance SET revision = revision - 1")
            await feed.refresh()
            assert feed.current.topic("acme", "after-the-backup") is None
            assert feed.current.topic("acme", "orders") is not None

    uvloop.run(scenario())


def test_a_database_that_goes_away_and_comes_back(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            known = feed.current
            with away(database_url):
                await feed.refresh()
                assert feed.current is known
                assert feed.health().error is not None
            installation.topic("acme", "users")
            await eventually_async(lambda: feed.current.topic("acme", "users") is not None, 4.0)
            assert feed.health().error is None

    uvloop.run(scenario())


def test_it_starts_from_the_snapshot_while_the_database_is_away(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            installation.topic("acme", "users")
            await feed.refresh()
            known = feed.current
        with away(database_url):
            async with following(database_url, tmp_path) as feed:
                assert (feed.current.revision, feed.current.installation) == (known.revision, known.installation)
                assert feed.current.topics_by_name == known.topics_by_name
        async with following(database_url, tmp_path) as feed:  # and the other way round, with nothing to change
            assert feed.current.topics_by_name == known.topics_by_name

    uvloop.run(scenario())


def test_the_snapshot_follows_a_change(installation: Installation, database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            installation.topic("acme", "users")
            await feed.refresh()
            await eventually_async(lambda: snapshot_revision(tmp_path) == feed.current.revision, 6.0)

    uvloop.run(scenario())


def snapshot_revision(directory: Path) -> int | None:
    snapshot = read_snapshot(directory / "catalog.snapshot", "default")
    return snapshot.revision if snapshot is not None else None


def test_without_database_and_snapshot_it_does_not_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with following(NOBODY_LISTENS, tmp_path):
            pass

    with pytest.raises(ConfigurationError, match="there is no catalog snapshot"):
        uvloop.run(scenario())


def test_another_environments_database_is_refused(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path, environment="production"):
            pass

    with pytest.raises(ConfigurationError, match=r"belongs to environment 'default', this process to 'production'"):
        uvloop.run(scenario())


def test_a_database_without_tables_is_told(empty_database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with following(empty_database_url, tmp_path):
            pass

    with pytest.raises(ConfigurationError, match="mqops migrate"):
        uvloop.run(scenario())


def test_a_row_it_cannot_use_stops_nothing(installation: Installation, database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with following(database_url, tmp_path) as feed:
            with psycopg.connect(database_url) as database:
                database.execute("UPDATE mq_instance SET revision = revision + 1")
                database.execute(
                    "INSERT INTO mq_resources (uid, kind, tenant, name, spec, managed_by, revision)"
                    " SELECT gen_random_uuid(), 'Volcano', 'acme', 'etna', '{\"erupts\": true}', 'x', revision"
                    " FROM mq_instance"
                )
            installation.topic("acme", "users")
            await feed.refresh()
            assert feed.current.topic("acme", "users") is not None
            assert [entry.kind for entry in feed.current.unusable.values()] == ["Volcano"]

    uvloop.run(scenario())


def test_writers_at_once_leave_one_whole_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "catalog.snapshot"
    rows = [Row(str(number), "Topic", "acme", f"t{number}", 1, 1, None, "{}") for number in range(1500)]
    stop = threading.Event()

    def write(revision: int) -> None:
        while not stop.is_set():
            write_snapshot(path, Snapshot("i", "default", revision, rows))

    write_snapshot(path, Snapshot("i", "default", 0, rows))
    writers = [threading.Thread(target=write, args=(revision,)) for revision in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(50):
            found = read_snapshot(path, "default")
            assert found is not None
            assert len(found.rows) == len(rows)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [file.name for file in tmp_path.iterdir()] == ["catalog.snapshot"]
