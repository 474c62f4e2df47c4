"""Migrations, the installation's stamp and the doctor, on real stores."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from redis import Redis

from mqops.bootstrap.control import current_settings, examine_stores, open_stores, refuse_unsafe_stores
from mqops.errors import BrokerNotAvailable, ConfigurationError
from mqops.keys import Keyspace
from mqops.settings import Settings
from reconciler.stores import instance, migrate
from reconciler.stores.migrate import AppliedMigration, Migration, pending

KEYS = Keyspace("mq:")


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def test_migrating_an_empty_database_and_again(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        assert migrate.read_applied(connection) == []
        applied = migrate.migrate(connection)
        assert [migration.number for migration in applied] == list(range(1, len(applied) + 1))
        assert migrate.migrate(connection) == []
        recorded = migrate.read_applied(connection)
        assert [(done.number, done.checksum) for done in recorded] == [(m.number, m.checksum) for m in applied]


def test_a_migration_that_fails_leaves_nothing(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Migration(9999, "broken", "0", "CREATE TABLE mq_half (n integer); SELECT no_such_function();")
    known = [*migrate.load_migrations(), broken]
    monkeypatch.setattr(migrate, "load_migrations", lambda: known)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedFunction):
            migrate.migrate(connection)
        assert migrate.read_applied(connection) == []
        assert connection.execute("SELECT to_regclass('mq_half'), to_regclass('mq_instance')").fetchone() == (
            None,
            None,
        )


def test_history_that_is_not_ours_is_refused() -> None:
    first, second = Migration(1, "a", "aa", ""), Migration(2, "b", "bb", "")
    assert pending([first, second], [AppliedMigration(1, "a", "aa")]) == [second]
    with pytest.raises(ConfigurationError, match="0001_a was applied with another text"):
        pending([first, second], [AppliedMigration(1, "a", "changed")])
    with pytest.raises(ConfigurationError, match=r"newer than this version of mqops.*0002_b"):
        pending([first], [AppliedMigration(1, "a", "aa"), AppliedMigration(2, "b", "bb")])


def test_both_stores_get_one_stamp_and_keep_it(database: psycopg.Connection[Any], redis_client: Redis) -> None:
    established = instance.establish(database, redis_client, KEYS, "default")
    assert instance.establish(database, redis_client, KEYS, "default") == established
    assert instance.read_database(database) == instance.read_broker(redis_client, KEYS) == established


def test_a_flushed_redis_and_a_new_database_take_the_stamp_of_the_other(
    database: psycopg.Connection[Any], redis_client: Redis
) -> None:
    established = instance.establish(database, redis_client, KEYS, "default")
    redis_client.flushdb()
    assert instance.establish(database, redis_client, KEYS, "default") == established
    database.execute("DELETE FROM mq_instance")
    assert instance.establish(database, redis_client, KEYS, "default") == established


def test_stores_of_two_installations_are_refused(database: psycopg.Connection[Any], redis_client: Redis) -> None:
    established = instance.establish(database, redis_client, KEYS, "default")
    redis_client.hset(KEYS.stamp, "installation", "00000000-0000-4000-8000-000000000000")
    with pytest.raises(ConfigurationError, match=f"{established.installation}.*00000000-0000-4000-8000-000000000000"):
        instance.establish(database, redis_client, KEYS, "default")


def test_the_doctor_judges_these_very_servers(database_url: str, redis_url: str, redis_client: Redis) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    verdicts = {finding.check: finding.verdict for finding in examine_stores(settings)}
    append_only = redis_client.config_get("appendonly")["appendonly"]
    assert verdicts.pop("append-only file") == ("ok" if append_only == "yes" else "bad")
    assert set(verdicts.values()) == {"ok"}


def test_the_doctor_sees_a_server_that_would_lose_messages(
    database_url: str, redis_url: str, redis_client: Redis
) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    before = redis_client.config_get("maxmemory-policy")["maxmemory-policy"] or "noeviction"
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigurationError, match="eviction policy: allkeys-lru"):
            refuse_unsafe_stores(settings)
        refuse_unsafe_stores(replace(settings, accept_risk=True))
    finally:
        redis_client.config_set("maxmemory-policy", before)


def test_a_user_without_config_leaves_it_unknown(database_url: str, redis_url: str, redis_client: Redis) -> None:
    redis_client.acl_setuser("managed", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
    try:
        separator = "&" if "?" in redis_url else "?"
        settings = Settings(database_url=database_url, redis_url=f"{redis_url}{separator}username=managed&password=any")
        verdicts = {finding.check: finding.verdict for finding in examine_stores(settings)}
        assert verdicts["append-only file"] == verdicts["eviction policy"] == "unknown"
        assert verdicts["redis version"] == "ok"
    finally:
        redis_client.acl_deluser("managed")


def test_stores_that_are_away_do_not_stop_a_worker_from_starting(tmp_path: Any) -> None:
    settings = Settings(
        database_url=f"postgresql:///none?host={tmp_path}&user=postgres", redis_url=f"unix://{tmp_path}/none.sock"
    )
    assert [finding.verdict for finding in examine_stores(settings)] == ["bad", "bad", "unknown"]
    refuse_unsafe_stores(settings)
    with pytest.raises(BrokerNotAvailable, match="PostgreSQL does not answer"), open_stores(settings):
        pass


def test_a_store_that_is_not_named_is_said_with_the_way_out(tmp_path: Any) -> None:
    settings = current_settings({"MQOPS_STATE_DIR": str(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"no DATABASE_URL is set.*start `mqops up`"), open_stores(settings):
        pass


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1"])
def test_a_redis_url_that_is_none_is_said_so(url: str, database_url: str) -> None:
    settings = Settings(database_url=database_url, redis_url=url)
    with pytest.raises(ConfigurationError, match="REDIS_URL cannot be read"), open_stores(settings):
        pass
