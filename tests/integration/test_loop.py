"""The watching reconciler against real stores and a real directory."""

import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import waiting
from databases import away

from mqops.bootstrap.control import open_redis, open_stores
from mqops.embedded.directory import open_state_directory
from mqops.embedded.valkey import start_valkey, valkey_url
from mqops.settings import Settings
from reconciler.loop import Watch
from reconciler.state import LiveSubscription, Observed
from reconciler.stores import instance, provision
from reconciler.stores.observe import observe
from reconciler.upkeep import Upkeep, Verdict

TENANT = "apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: acme}\nspec: {}\n"

eventually = partial(waiting.eventually, seconds=10)


def topic(name: str) -> str:
    return f"apiVersion: mqops/v1\nkind: Topic\nmetadata: {{tenant: acme, name: {name}}}\nspec: {{}}\n"


def queue(name: str) -> str:
    return f"apiVersion: mqops/v1\nkind: Queue\nmetadata: {{tenant: acme, name: {name}}}\nspec: {{}}\n"


@dataclass
class Platform:
    """A directory that is watched, and what is applied from it."""

    directory: Path
    settings: Settings
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.upkeep = Upkeep(self.directory, self.settings, partial(open_stores, self.settings), self.said.append)

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def watching(self, resync_seconds: float = 3600) -> "Watching":
        return Watching(Watch(self.upkeep, partial(open_redis, self.settings), resync_seconds))

    def seen(self) -> Observed:
        with open_stores(self.settings) as stores:
            return observe(stores)

    def names(self) -> set[str]:
        return {identity.name for identity in self.seen().applied}

    def reader(self) -> LiveSubscription:
        """The only subscription there is."""
        (live,) = self.seen().subscriptions.values()
        return live

    def destroy_group(self) -> None:
        live = self.reader()
        with open_stores(self.settings) as stores:
            stream = stores.keys.stream(live.bucket, live.meta["topic"], 0)
            assert stores.redis.xgroup_destroy(stream, live.uid) == 1

    def has_group(self) -> bool:
        seen, live = self.seen(), self.reader()
        return live.uid in seen.topics[live.meta["topic"]].groups.get(0, {})

    def told(self, part: str) -> int:
        return sum(part in line for line in self.said)


@dataclass
class Watching:
    """Runs a watch for as long as the block lasts."""

    watch: Watch

    def __enter__(self) -> Watch:
        self.thread = threading.Thread(target=self.watch.run)
        self.thread.start()
        return self.watch

    def __exit__(self, *_: object) -> None:
        self.watch.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def platform(tmp_path: Path, database_url: str, redis_url: str) -> Platform:
    directory = tmp_path / "manifests"
    directory.mkdir()
    platform = Platform(directory, replace(Settings(), database_url=database_url, redis_url=redis_url))
    platform.write("acme.yaml", TENANT)
    return platform


def test_a_saved_file_is_applied(platform: Platform) -> None:
    with platform.watching():
        eventually(lambda: platform.names() == {"acme"})
        platform.write("orders.yaml", topic("orders"))
        eventually(lambda: platform.names() == {"acme", "orders"})
        (platform.directory / "orders.yaml").unlink()
        eventually(lambda: platform.names() == {"acme"})
    assert platform.told("Applied revision") == 3


def test_a_burst_of_saves_is_one_apply(platform: Platform) -> None:
    with platform.watching():
        eventually(lambda: platform.names() == {"acme"})
        for number in range(30):
            platform.write(f"topics/t{number}.yaml", topic(f"t{number}"))
            time.sleep(0.01)
        eventually(lambda: len(platform.names()) == 31)
    assert platform.said[-1] == "Applied revision 2: 30 created."


def test_a_broken_manifest_changes_nothing_and_is_told_once_with_all_its_problems(platform: Platform) -> None:
    platform.write("jobs.yaml", queue("jobs").replace("{}", "{deadLetter: null}"))
    with platform.watching(resync_seconds=0.3):
        eventually(lambda: "jobs" in platform.names())
        platform.write("orders.yaml", topic("orders").replace("spec: {}", "spec: {partitoins: 2, retention: soon}"))
        eventually(lambda: platform.told("2 problems in the manifests; the last good state stays") == 1)
        assert platform.told("orders.yaml:4") == 2
        platform.destroy_group()
        eventually(platform.has_group)  # what was applied is looked after all the while
        assert "orders" not in platform.names()
        platform.write("orders.yaml", topic("orders"))
        eventually(lambda: "orders" in platform.names())
    assert platform.told("problems in the manifests") == 1
    assert platform.told("the manifests are good again") == 1


def test_a_destroyed_group_is_found_without_anyone_ringing(platform: Platform) -> None:
    platform.write("jobs.yaml", queue("jobs"))
    with platform.watching(resync_seconds=0.3):
        eventually(lambda: "jobs" in platform.names())
        platform.destroy_group()
        eventually(platform.has_group)
    assert platform.told("repaired Subscription acme/jobs: group missing") == 1


def test_when_the_data_plane_rings_it_is_looked_at_at_once(platform: Platform) -> None:
    platform.write("jobs.yaml", queue("jobs"))
    with platform.watching(), open_stores(platform.settings) as stores:
        eventually(lambda: "jobs" in platform.names())
        stamp = instance.read_broker(stores.redis, stores.keys)
        assert stamp is not None
        channel = stores.keys.repairs(stamp.installation)
        eventually(lambda: stores.redis.pubsub_numsub(channel)[0][1] == 1)
        platform.destroy_group()
        stores.redis.publish(channel, platform.reader().uid)
        eventually(platform.has_group, seconds=3)


def test_a_source_that_does_not_heal_itself_is_only_reported_on(platform: Platform) -> None:
    (platform.directory / "acme.yaml").unlink()
    platform.write(
        "sources.yaml",
        "apiVersion: mqops/v1\nkind: Source\nmetadata: {name: shop}\nspec: {path: shop, selfHeal: false}\n",
    )
    platform.write("shop/acme.yaml", TENANT + "---\n" + queue("jobs"))
    with platform.watching(resync_seconds=0.3):
        eventually(lambda: "jobs" in platform.names())
        platform.destroy_group()
        with open_stores(platform.settings) as stores:
            stores.database.execute("UPDATE mq_resources SET labels = '{\"by\": \"hand\"}' WHERE kind = 'Queue'")
        eventually(lambda: platform.told("drift in 2 resources") == 1)
        assert platform.told("not repaired, selfHeal is false: Queue acme/jobs") == 1
        time.sleep(1)
        assert not platform.has_group()
        platform.write("shop/orders.yaml", topic("orders"))
        eventually(lambda: "orders" in platform.names())  # what is declared anew is applied,
        assert not platform.has_group()  # what was destroyed stays reported
        platform.write("sources.yaml", (platform.directory / "sources.yaml").read_text().replace("false", "true"))
        eventually(platform.has_group)
    assert platform.told("no drift any more") == 1


def test_a_redis_that_goes_away_is_told_once_and_recovered_from(platform: Platform, tmp_path: Path) -> None:
    own = open_state_directory(tmp_path / "own")
    server = start_valkey(own)
    platform = Platform(platform.directory, replace(platform.settings, redis_url=valkey_url(own)))
    try:
        with platform.watching(resync_seconds=0.2):
            eventually(lambda: platform.told("Applied revision 1") == 1)
            server.stop(lambda: True)
            eventually(lambda: platform.told("not done: Redis") == 1)
            platform.write("orders.yaml", topic("orders"))
            time.sleep(1.5)
            server = start_valkey(own)
            eventually(lambda: platform.told("Applied revision 2") == 1)
    finally:
        server.stop(lambda: True)
    assert platform.told("not done") == 1
    assert platform.told("going on") == 1


def test_a_database_that_goes_away_is_told_once_and_recovered_from(platform: Platform, database_url: str) -> None:
    with platform.watching(resync_seconds=0.2):
        eventually(lambda: platform.told("Applied revision 1") == 1)
        with away(database_url):
            eventually(lambda: platform.told("not done: PostgreSQL") == 1)
            platform.write("orders.yaml", topic("orders"))
            time.sleep(1.5)
        eventually(lambda: platform.told("Applied revision 2") == 1)
    assert platform.told("going on") == 1


def test_a_single_look_says_what_came_of_it(platform: Platform) -> None:
    assert platform.upkeep.look() is Verdict.SETTLED
    assert platform.said == ["created Tenant acme: declared", "Applied revision 1: 1 created."]
    assert platform.upkeep.look() is Verdict.SETTLED
    platform.write("orders.yaml", "nonsense")
    assert platform.upkeep.look() is Verdict.STUCK
    assert platform.upkeep.look() is Verdict.STUCK
    assert platform.told("a problem in the manifests") == 1


def test_a_directory_that_comes_later_is_watched_from_then_on(platform: Platform, tmp_path: Path) -> None:
    later = Platform(tmp_path / "later", platform.settings)
    with later.watching():
        eventually(lambda: later.told("no such directory") == 1)
        later.directory.mkdir()
        time.sleep(1.2)
        later.write("acme.yaml", TENANT)
        eventually(lambda: later.told("Applied revision 1") == 1)


def test_a_directory_that_is_replaced_is_watched_on(platform: Platform) -> None:
    """As a checkout does that is cloned anew, and a mounted volume whose link is switched."""
    with platform.watching():
        eventually(lambda: platform.told("Applied revision 1") == 1)
        platform.directory.rename(platform.directory.with_name("old"))
        platform.write("acme.yaml", TENANT + "---\n" + topic("orders"))
        eventually(lambda: "orders" in platform.names())
        platform.write("news.yaml", topic("news"))
        eventually(lambda: "news" in platform.names())


def test_a_broken_manifest_that_is_moved_back_is_good_again(platform: Platform) -> None:
    """The file has the time of change that it had: nothing but its absence of problems tells."""
    platform.upkeep.look()
    good = platform.directory / "acme.yaml"
    good.rename(platform.directory / "aside")
    platform.write("acme.yaml", "nonsense")
    assert platform.upkeep.look() is Verdict.STUCK
    (platform.directory / "aside").rename(good)
    assert platform.upkeep.look() is Verdict.SETTLED
    assert platform.said[-1] == "the manifests are good again"


def test_an_apply_under_way_ends_between_changes_when_it_is_told_to_stop(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "_CALLS_AT_ONCE", 1)
    platform.upkeep.look()
    for number in range(5):
        platform.write(f"t{number}.yaml", topic(f"t{number}"))
    asked = iter([False, False, *[True] * 20])
    platform.upkeep.is_stopped = lambda: next(asked)
    assert platform.upkeep.look() is Verdict.UNFINISHED
    assert len(platform.names()) == 3
    assert platform.said[-1] == "stopped: 3 changes are not done, and left to the next run"
    platform.upkeep.is_stopped = lambda: False
    assert platform.upkeep.look() is Verdict.SETTLED
    assert len(platform.names()) == 6
