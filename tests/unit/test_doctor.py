"""What the doctor judges bad, ok and unknown, from facts alone."""

from dataclasses import replace

import pytest

from mqops.errors import ConfigurationError
from reconciler.stores.doctor import Facts, Finding, PostgresFacts, RedisFacts, examine, refuse_known_bad
from reconciler.stores.instance import Instance, agree

STAMP = Instance("6f0d3c1e-9f6e-4f57-8b6e-0a3a3c1f2b11", "default")
REDIS = RedisFacts("Redis", "7.0.15", "yes", "everysec", "noeviction", 0.01, STAMP)
POSTGRES = PostgresFacts(150_004, "15.4", -0.02, STAMP, 0, None)
SOUND = Facts(REDIS, POSTGRES, "default")


def verdict(facts: Facts, check: str) -> str:
    return next(finding.verdict for finding in examine(facts) if finding.check == check)


def test_sound_stores_are_ok_throughout() -> None:
    assert [finding.verdict for finding in examine(SOUND)] == ["ok"] * 9
    refuse_known_bad(examine(SOUND), accept_risk=False)


@pytest.mark.parametrize(
    ("check", "redis"),
    [
        ("append-only file", replace(REDIS, append_only="no")),
        ("append-only fsync", replace(REDIS, append_fsync="no")),
        ("eviction policy", replace(REDIS, eviction_policy="allkeys-lru")),
        ("eviction policy", replace(REDIS, eviction_policy="volatile-ttl")),
        ("redis version", replace(REDIS, version="6.2.14")),
        ("redis version", replace(REDIS, product="Valkey", version="7.2.4")),
        ("redis clock", replace(REDIS, clock_skew_seconds=-6.0)),
    ],
)
def test_what_is_bad_about_redis(check: str, redis: RedisFacts) -> None:
    assert verdict(replace(SOUND, redis=redis), check) == "bad"


@pytest.mark.parametrize(
    ("check", "postgres"),
    [
        ("postgresql version", replace(POSTGRES, version_number=140_011, version="14.11")),
        ("postgresql clock", replace(POSTGRES, clock_skew_seconds=90.0)),
        ("migrations", replace(POSTGRES, pending_migrations=2)),
        ("migrations", replace(POSTGRES, migration_problem="the database is newer: install the newer version")),
    ],
)
def test_what_is_bad_about_postgresql(check: str, postgres: PostgresFacts) -> None:
    assert verdict(replace(SOUND, postgres=postgres), check) == "bad"


@pytest.mark.parametrize(("product", "version"), [("Redis", "7.0.0"), ("Redis", "8.2.1"), ("Valkey", "8.0.0")])
def test_versions_that_are_new_enough(product: str, version: str) -> None:
    assert verdict(replace(SOUND, redis=replace(REDIS, product=product, version=version)), "redis version") == "ok"


def test_what_a_managed_server_will_not_tell_is_unknown_and_no_reason_to_refuse() -> None:
    silent = replace(REDIS, append_only=None, append_fsync=None, eviction_policy=None)
    findings = examine(replace(SOUND, redis=silent))
    assert [finding.check for finding in findings if finding.verdict == "unknown"] == [
        "append-only file",
        "append-only fsync",
        "eviction policy",
    ]
    assert all(finding.remedy for finding in findings if finding.verdict != "ok")
    refuse_known_bad(findings, accept_risk=False)


def test_a_store_that_is_away_is_bad_but_no_reason_not_to_start_and_the_other_is_still_judged() -> None:
    facts = replace(SOUND, redis="Redis does not answer", postgres=replace(POSTGRES, version_number=140_000))
    verdicts = {finding.check: finding.verdict for finding in examine(facts)}
    assert verdicts["redis"] == verdicts["postgresql version"] == "bad"
    assert verdicts["instance"] == "unknown"
    refuse_known_bad(examine(replace(SOUND, redis="away", postgres="away")), accept_risk=False)


def test_a_risk_is_refused_with_the_way_through_and_passes_when_accepted() -> None:
    findings = examine(replace(SOUND, redis=replace(REDIS, append_only="no")))
    with pytest.raises(
        ConfigurationError, match=r"append-only file: no: CONFIG SET appendonly yes(?s:.)*MQOPS_ACCEPT_RISK=1"
    ):
        refuse_known_bad(findings, accept_risk=False)
    refuse_known_bad(findings, accept_risk=True)


def test_another_installations_store_cannot_be_accepted() -> None:
    foreign = replace(REDIS, stamp=Instance("00000000-0000-4000-8000-000000000000", "default"))
    findings = examine(replace(SOUND, redis=foreign))
    with pytest.raises(ConfigurationError, match="do not belong together") as refusal:
        refuse_known_bad(findings, accept_risk=True)
    assert "MQOPS_ACCEPT_RISK" not in str(refusal.value)
    assert findings[-1] == Finding("instance", "bad", findings[-1].found, findings[-1].remedy, refusal="always")


def test_stamps_agree_when_equal_or_missing() -> None:
    assert agree(None, None, "default") is None
    assert agree(STAMP, None, "default") == agree(None, STAMP, "default") == agree(STAMP, STAMP, "default") == STAMP


@pytest.mark.parametrize(("database", "broker"), [(STAMP, STAMP), (STAMP, None), (None, STAMP)])
def test_another_environments_stores_are_refused_by_name(database: Instance | None, broker: Instance | None) -> None:
    with pytest.raises(ConfigurationError, match=r"'default', and this is 'staging'.*MQOPS_ENVIRONMENT"):
        agree(database, broker, "staging")
