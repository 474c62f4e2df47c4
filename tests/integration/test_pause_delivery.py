"""A paused subscription and what delivers, repairs, renames and restarts around it; with real processes."""

import asyncio
import contextlib
import hashlib
import json
import time
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from commands import Desk
from databases import away
from installation import following
from push_platform import PushPlatform
from redis import Redis
from served import Client
from sinks import Sink, sink
from waiting import eventually, eventually_async
from workers import working

from mqops.delivery import worker
from mqops.embedded.port import free_port
from mqops.runtime import Consumed, RuntimeStore, Wanted

KEY = "key-of-an-operator"
PAUSED = Wanted("paused", "acme/ann", "incident 7", None)


def soon_ms(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


@pytest.fixture
def platform(database_url: str, redis_url: str, redis_client: "Redis") -> PushPlatform:
    return PushPlatform(database_url, redis_url, redis_client)


def test_a_worker_hands_nothing_out_while_paused_and_goes_on_when_the_time_is_up(
    platform: PushPlatform, tmp_path: Path
) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            store, uid = RuntimeStore(platform.database_url), platform.uid("Subscription", "acme", "billing")
            async with working(platform, tmp_path) as running:
                await platform.publish("acme", "orders", b"1")
                await receiver.received(1)
                end_ms = soon_ms(2.5)
                assert await store.override(uid, Wanted("paused", "acme/ann", "", end_ms))
                await eventually_async(lambda: not running.worker.served, 1.0)
                await platform.publish("acme", "orders", b"2")
                await asyncio.sleep(1.5)
                assert receiver.bodies == [b"1"]
                await receiver.received(2)
                assert -5 < time.time() * 1000 - end_ms < 1000
            await store.close()

    asyncio.run(main())


def test_a_pause_outlives_postgresql_and_a_restart_without_it_and_ends_in_time_all_the_same(
    platform: PushPlatform, tmp_path: Path
) -> None:
    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            store, uid = RuntimeStore(platform.database_url), platform.uid("Subscription", "acme", "billing")
            end_ms = soon_ms(4)
            async with working(platform, tmp_path) as running:
                assert await store.override(uid, Wanted("paused", "acme/ann", "", end_ms))
                await eventually_async(lambda: not running.worker.served, 1.0)
            await store.close()
            with away(platform.database_url):
                async with working(platform, tmp_path) as running:
                    await platform.publish("acme", "orders", b"1")
                    await asyncio.sleep(1)
                    assert (receiver.bodies, running.worker.served) == ([], frozenset())
                    await receiver.received(1)
                    assert -5 < time.time() * 1000 - end_ms < 1000

    asyncio.run(main())


def test_a_long_pause_is_waited_for_in_steps(
    platform: PushPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock may be set meanwhile, which a timer of the loop does not notice."""
    monkeypatch.setattr(worker, "LONGEST_TIMER_SECONDS", 0.2)

    async def main() -> None:
        async with sink() as receiver:
            platform.webhook("acme", receiver.url())
            store, uid = RuntimeStore(platform.database_url), platform.uid("Subscription", "acme", "billing")
            await store.override(uid, Wanted("paused", "acme/ann", "", soon_ms(2)))
            await store.close()
            async with working(platform, tmp_path):
                with away(platform.database_url):
                    await platform.publish("acme", "orders", b"1")
                    await asyncio.sleep(0.5)
                    assert receiver.bodies == []
                    await receiver.received(1)

    asyncio.run(main())


def test_an_override_is_seen_within_a_second_and_is_of_no_revision(platform: PushPlatform, tmp_path: Path) -> None:
    async def main() -> None:
        platform.webhook("acme", "http://127.0.0.1:1/")
        store, uid = RuntimeStore(platform.database_url), platform.uid("Subscription", "acme", "billing")
        async with following(platform.database_url, tmp_path) as feed:
            revision = feed.current.revision
            await store.override(uid, PAUSED)
            await eventually_async(lambda: uid in feed.current.overrides, 1.0)
            found = feed.current.subscriptions_by_uid[uid].override
            assert found is not None
            assert (found.state, found.by, found.reason, found.until_ms) == ("paused", "acme/ann", "incident 7", None)
            await store.lift(uid)
            await eventually_async(lambda: feed.current.subscriptions_by_uid[uid].override is None, 1.0)
            assert feed.current.revision == revision
        await store.close()

    asyncio.run(main())


def test_what_is_not_there_is_neither_paused_nor_noted(platform: PushPlatform) -> None:
    """A row of its own would stay for ever."""

    async def main() -> None:
        platform.tenant("acme")
        store, gone = RuntimeStore(platform.database_url), "01a2077e-6dc8-7ad8-8012-acde30c571f7"
        assert not await store.override(gone, PAUSED)
        await store.note_consumed({gone: 1})
        await store.close()

    asyncio.run(main())
    with psycopg.connect(platform.database_url) as database:
        assert database.execute("SELECT count(*) FROM mq_runtime").fetchone() == (0,)


def test_notes_of_what_was_consumed_wait_while_postgresql_is_away(platform: PushPlatform) -> None:
    platform.webhook("acme", "http://127.0.0.1:1/")
    uid = platform.uid("Subscription", "acme", "billing")

    async def main() -> None:
        store = RuntimeStore(platform.database_url)
        notes = Consumed(store)
        notes.note(uid)
        with away(platform.database_url):
            await notes.stop()
        await notes.stop()
        await store.note_consumed({uid: 1})  # an older one of another process
        await store.close()

    before = time.time()
    asyncio.run(main())
    with psycopg.connect(platform.database_url) as database:
        query = "SELECT extract(epoch FROM last_consumed_at)::float8 FROM mq_runtime WHERE uid = %s"
        row = database.execute(query, (uid,)).fetchone()
    assert row is not None
    assert abs(row[0] - before) < 30


# --- the whole of it, with real processes -----------------------------------------------------------------------------

MANIFESTS = """\
apiVersion: mqops/v1
kind: Tenant
metadata: {name: acme}
spec: {}
---
apiVersion: mqops/v1
kind: Credential
metadata: {tenant: acme, name: ops}
spec: {principal: ops, roles: [admin, publisher], keys: [{sha256: DIGEST}]}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: orders}
spec: {}
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: hook}
spec: {type: http, http: {url: "URL"}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: billing}
spec: {topic: orders, handler: hook}
"""
RENAMED = "{tenant: acme, name: invoicing, renamedFrom: billing}"


def overrides(desk: Desk) -> list[str]:
    """The names of subscriptions that a plan shows as paused."""
    plan = json.loads(desk.succeed("plan", "-o", "json"))
    assert plan["resource_changes"] == []
    return [it["name"] for it in plan["runtime_overrides"] if (it["state"], it["reason"]) == ("paused", "incident 7")]


def test_a_pause_of_what_git_owns_survives_repair_rename_and_restart_and_ends_by_itself(
    database_url: str, redis_url: str, redis_client: "Redis", tmp_path: Path
) -> None:
    port = free_port("127.0.0.1")
    stores = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "MQOPS_STATE_DIR": str(tmp_path / "state"),
        "MQOPS_PRIVATE_TARGETS": "*=*",
        "MQOPS_ACCEPT_RISK": "1",
        "MQOPS_CREDENTIAL": KEY,
        "MQOPS_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "HEALTH_CHECK_INTERVAL": "1",
    }
    desk, client = Desk(tmp_path, stores), Client(port, KEY)
    manifest = tmp_path / "manifests/acme.yaml"
    manifest.parent.mkdir()

    def is_ready() -> bool:
        with contextlib.suppress(OSError):
            return client.get("/readyz").status == 200
        return False

    async def main() -> None:
        async with sink() as receiver:
            digest = hashlib.sha256(KEY.encode()).hexdigest()
            manifest.write_text(MANIFESTS.replace("DIGEST", digest).replace("URL", receiver.url()))
            await asyncio.to_thread(around, receiver)
            assert sorted(receiver.bodies) == [b"1", b"2"]

    def around(receiver: Sink) -> None:
        desk.succeed("apply", "--auto-approve")
        with desk.running("serve"), desk.running("reconcile", "--watch", "manifests"):
            eventually(is_ready, "the server", 30)
            with desk.running("work"):
                desk.succeed("pause", "subscription", "acme/billing", "--reason", "incident 7", "--for", "1h")
                assert client.publish("orders", {"payload": 1}).status == 200
                assert overrides(desk) == ["billing"]

                uid = json.loads(desk.succeed("get", "subscriptions", "acme/billing", "-o", "json"))["status"]["uid"]
                [stream] = [it for it in redis_client.scan_iter("*:s") if redis_client.xinfo_groups(it)]
                redis_client.xgroup_destroy(stream, uid)
                eventually(lambda: redis_client.xinfo_groups(stream), "the repair", 15)
                text = manifest.read_text().replace("{tenant: acme, name: billing}", RENAMED)
                manifest.write_text(text)
                shown = ("get", "subscriptions", "-o", "name")
                eventually(lambda: "acme/invoicing" in desk.succeed(*shown), "the rename", 15)
                assert overrides(desk) == ["invoicing"]
                assert "HELD" in desk.succeed("get", "subscriptions")
                assert "paused by acme/ops since " in desk.succeed("describe", "subscription", "acme/invoicing")
            with desk.running("work"):
                assert client.publish("orders", {"payload": 2}).status == 200
                time.sleep(2)
                assert receiver.bodies == []
                words = (
                    "pause",
                    "subscription",
                    "acme/invoicing",
                    "--reason",
                    "incident 7",
                    "--for",
                    "3s",
                    "-o",
                    "json",
                )
                until = datetime.fromisoformat(json.loads(desk.succeed(*words))["status"]["override"]["until"])
                eventually(lambda: receiver.bodies, "the end of the pause", 15)
                assert time.time() >= until.timestamp()
                eventually(lambda: len(receiver.bodies) == 2, "the rest", 15)
                assert overrides(desk) == []

    asyncio.run(main())
