"""Every setting changed, and its effect seen: each variable that is read has a row here."""

import contextlib
import hashlib
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest
from commands import MQOPS, Desk, environment
from databases import created
from metadata_world import Receiver, receiving
from redis import Redis
from served import API, Client
from tokens import SECRET, auth_service, private_key, published, token
from variables import variables_read
from waiting import eventually

from mqops.embedded.directory import open_state_directory
from mqops.embedded.port import free_port
from mqops.embedded.valkey import start_valkey, valkey_url
from mqops.errors import ConfigurationError
from mqops.settings import Settings, settings_from

ROOT = Path(__file__).parents[2]
KEY, DEVELOPMENT = "key-of-acme", "mqk_development"
HOST = "127.0.0.2"

SERVICE_TOKEN = "token-of-the-services"

LATER = {"METRICS_ENABLED"}
"""Of the owner's variables those that have no effect yet: the data plane has no figures to turn off."""

OWNERS = {
    *("PORT", "DATABASE_URL", "REDIS_URL", "REDIS_KEY_PREFIX", "INTERNAL_SERVICE_TOKEN", "MAX_MESSAGE_SIZE"),
    *("DEFAULT_TTL", "MAX_QUEUE_LENGTH", "CONSUMER_TIMEOUT", "METRICS_ENABLED", "HEALTH_CHECK_INTERVAL"),
    *("MESSAGE_BATCH_SIZE", "MAX_CONCURRENT_CONSUMERS", "PROCESSING_TIMEOUT_MS", "SERVICE_DISCOVERY_MODE"),
    *("AUTH_SERVICE_URL", "USER_SERVICE_URL", "AUDIT_SERVICE_URL", "NOTIFICATION_SERVICE_URL"),
}

MANIFESTS = """\
apiVersion: mqops/v1
kind: Tenant
metadata: {name: acme}
---
apiVersion: mqops/v1
kind: Tenant
metadata: {name: globex}
---
apiVersion: mqops/v1
kind: Credential
metadata: {tenant: acme, name: all}
spec: {principal: all, roles: [publisher, consumer, admin], keys: [{sha256: DIGEST}]}
---
# All of these have the defaults that the settings give.
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: plain}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: plain}
spec: {topic: plain}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: kept}
spec: {retention: 1d}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: kept}
spec: {topic: kept}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: hooked}
spec: {retention: 1d, maxBacklog: 100}
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: hook}
spec: {type: http, http: {url: "${MQOPS_LISTEN_URL}/hook", signingSecret: {file: hook}}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: hooked}
spec: {topic: hooked, handler: hook, retry: {maxAttempts: 2, initialDelay: 100ms, jitter: 0}}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: slow}
spec: {retention: 1d, maxBacklog: 100}
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: slow}
spec: {type: http, http: {url: "${MQOPS_LISTEN_URL}/slow", timeout: 30s}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: slow}
spec: {topic: slow, handler: slow, concurrency: 1}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: unread}
spec: {retention: 1d}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: globex, name: hooked}
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: globex, name: hook}
spec: {type: http, http: {url: "${MQOPS_LISTEN_URL}/globex"}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: globex, name: hooked}
spec: {topic: hooked, handler: hook, retry: {maxAttempts: 1}}
"""

SERVICES = """\
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: service}
spec: {type: http, http: {url: "${NAME}/x"}}
"""


@dataclass
class World:
    """The platform with every setting that can be another at once, and its processes."""

    desk: Desk
    client: Client
    redis: "Redis"
    receiver: Receiver
    receiver_url: str
    serve: psutil.Process
    empty_database_url: str

    def variable(self, name: str) -> str:
        return self.desk.stores[name]

    def publish(self, topic: str, payload: Any) -> int:
        return self.client.publish(topic, {"payload": payload}).status

    def drained(self, subscription: str) -> None:
        """Everything there is, settled."""

        def look() -> bool:
            messages = self.client.pull(subscription, 100)
            if messages:
                self.client.settle("ack", subscription, *(message["ackId"] for message in messages))
            return not messages

        eventually(look, "an empty subscription")

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        found = json.loads(self.desk.succeed("get", kind, name, "-o", "json"))["spec"]
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def world(
    database_server_url: str, template_database: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder, word = tmp_path_factory.mktemp("settings"), uuid4().hex[:12]
    with (
        Redis.from_url(redis_server_url) as redis,
        created(database_server_url, f"mqops_settings_{word}", template_database) as database_url,
        created(database_server_url, f"mqops_empty_{word}") as empty_database_url,
        receiving() as (receiver, url),
    ):
        redis.flushdb()
        port = free_port(HOST)
        settings = {
            "PORT": str(port),
            "MQOPS_HOST": HOST,
            "MQOPS_WEB_WORKERS": "3",
            "MQOPS_DRAIN_TIMEOUT": "1s",
            "REDIS_URL": redis_server_url,
            "DATABASE_URL": database_url,
            "REDIS_KEY_PREFIX": "other:",
            "MQOPS_ENVIRONMENT": "staging",
            "MQOPS_STATE_DIR": str(folder / "elsewhere"),
            "MQOPS_SECRETS_DIR": str(folder / "hidden"),
            "MQOPS_PRIVATE_TARGETS": f"acme={url.removeprefix('http://').rstrip('/')}",
            "MQOPS_DEVELOPMENT_CREDENTIAL": DEVELOPMENT,
            "INTERNAL_SERVICE_TOKEN": SERVICE_TOKEN,
            "MQOPS_AUTH_FAILURE_LIMIT": "15",
            "MQOPS_JWT_SECRET": SECRET,
            "MQOPS_JWT_ISSUER": "auth",
            "MQOPS_JWT_AUDIENCE": "mqops",
            "MQOPS_JWT_TENANT_CLAIM": "org.tenant",
            "MQOPS_JWT_PRINCIPAL_CLAIM": "user",
            "MQOPS_JWT_ROLES_CLAIM": "realm.roles",
            "MQOPS_JWT_CLOCK_SKEW": "10s",
            "MQOPS_LISTEN_URL": url.rstrip("/"),
            "MQOPS_ACCEPT_RISK": "1",
            "MAX_MESSAGE_SIZE": "200",
            "DEFAULT_TTL": "2",
            "MAX_QUEUE_LENGTH": "5",
            "CONSUMER_TIMEOUT": "700",
            "PROCESSING_TIMEOUT_MS": "600",
            "MAX_CONCURRENT_CONSUMERS": "2",
            "MESSAGE_BATCH_SIZE": "3",
            "HEALTH_CHECK_INTERVAL": "1",
        }
        desk = Desk(folder, settings)
        (folder / "manifests").mkdir()
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        (folder / "manifests/all.yaml").write_text(MANIFESTS.replace("DIGEST", digest))
        (folder / "hidden/acme").mkdir(parents=True)
        (folder / "hidden/acme/hook").write_text("whsec_" + "c2VjcmV0" * 4)
        desk.succeed("apply", "--auto-approve")
        with desk.running("serve") as serve, desk.running("work"):
            client = Client(port, KEY, host=HOST)

            def is_ready() -> bool:
                with contextlib.suppress(OSError):
                    return client.get("/readyz").status == 200
                return False

            eventually(is_ready, "the server", 30)
            yield World(desk, client, redis, receiver, url, psutil.Process(serve.pid), empty_database_url)


Check = Callable[[World], None]


def port(world: World) -> None:
    assert int(world.variable("PORT")) == world.client.port != Settings().port
    assert world.client.get("/livez").status == 200


def host(world: World) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", world.client.port), 5).close()


def web_workers(world: World) -> None:
    # The first of them answers before the others are there.
    eventually(lambda: len(world.serve.children()) == 3, "three workers", 10)


def drain_timeout(world: World) -> None:
    """Of two workers that have a message each in a handler's hands for 5 s, one is told to stop."""
    with world.desk.running("work") as work:
        log = world.desk.log("work")
        eventually(lambda: log.read_text().count(" is at work") == 2, "the second worker", 20)
        for _ in range(2):
            assert world.publish("slow", "hang") == 200
        eventually(lambda: world.receiver.at_once == 2, "both messages", 5)
        started = time.time()
        work.terminate()
        work.wait(20)
        assert 0.9 < time.time() - started < 4


def redis_url(world: World) -> None:
    refused = world.desk.run("get", "tenants", REDIS_URL="redis://127.0.0.1:1/0")
    assert (refused.returncode, "Redis at 127.0.0.1:1 does not answer" in refused.stderr) == (1, True)
    assert "acme" in world.desk.succeed("get", "tenants")


def database_url(world: World) -> None:
    refused = world.desk.run("plan", DATABASE_URL=world.empty_database_url)
    assert (refused.returncode, "mqops migrate" in refused.stderr) == (1, True)


def key_prefix(world: World) -> None:
    assert world.publish("kept", "prefixed") == 200
    keys = {key.split(b":")[0] for key in world.redis.scan_iter(count=1000)}
    assert keys == {b"other"}
    world.drained("kept")


def environment_stamp(world: World) -> None:
    refused = world.desk.run("plan", MQOPS_ENVIRONMENT="production")
    assert (refused.returncode, "belongs to environment 'staging'" in refused.stderr) == (1, True)


def accept_risk(world: World, folder: Path) -> None:
    directory = open_state_directory(folder)
    server = start_valkey(directory)
    try:
        url = valkey_url(directory)
        with Redis.from_url(url) as risky:
            risky.config_set("maxmemory-policy", "allkeys-lru")
        more = {"REDIS_URL": url, "MQOPS_ACCEPT_RISK": "0"}
        refused = world.desk.run("work", **more)
        assert (refused.returncode, "eviction policy" in refused.stderr) == (1, True)
        stores = {**world.desk.stores, **more, "MQOPS_ACCEPT_RISK": "1"}
        started = subprocess.Popen(
            [*MQOPS, "work"], env=environment(**stores), stdout=subprocess.PIPE, text=True, cwd=world.desk.folder
        )
        try:
            assert started.stdout is not None
            assert any(" is at work" in line for line in iter(started.stdout.readline, ""))
        finally:
            started.terminate()
            started.communicate(timeout=30)
    finally:
        server.stop(lambda: True)
        directory.remove_sockets()


def state_dir(world: World) -> None:
    eventually(lambda: (world.desk.folder / "elsewhere/catalog.snapshot").exists(), "the snapshot", 10)
    assert not (world.desk.folder / ".mqops").exists()


def secrets_dir(world: World) -> None:
    assert world.publish("hooked", "signed") == 200
    eventually(lambda: world.receiver.times("signed"), "the webhook", 10)
    [headers] = [headers for _, headers, body in world.receiver.arrived if body == "signed"]
    assert headers["webhook-signature"].startswith("v1,")


def private_targets(world: World) -> None:
    """Acme may reach the receiver, and globex may not."""
    assert world.publish("hooked", "acme's") == 200
    system = world.client.with_key(DEVELOPMENT, "globex")
    assert system.publish("hooked", {"payload": "globex's"}).status == 200
    eventually(lambda: world.receiver.times("acme's"), "the webhook", 10)
    letters = f"{API}/topics/hooked.deadletter/messages"
    eventually(lambda: system.get(letters).body["messages"], "the dead letter", 10)
    assert world.receiver.times("globex's") == []


def development_credential(world: World) -> None:
    assert world.client.with_key(DEVELOPMENT, "acme").get(f"{API}/topics/plain").status == 200
    assert world.client.with_key(f"{DEVELOPMENT}x", "acme").get(f"{API}/topics/plain").status == 401


def internal_service_token(world: World) -> None:
    nobody = world.client.with_key(None, "acme")
    body = {"payload": "of a service"}
    assert nobody.publish("kept", body, X_Service_Token=SERVICE_TOKEN).status == 200
    assert nobody.publish("kept", body, X_Service_Token=f"{SERVICE_TOKEN}x").status == 401
    world.drained("kept")


def signed(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
    """A token as the world takes it, but for what ``claims`` say."""
    usual = {"iss": "auth", "aud": "mqops", "org": {"tenant": "acme"}, "user": "jo", "realm": {"roles": ["publisher"]}}
    return token(key, algorithm, kid, **{"tenant_id": "globex", "sub": "x", "roles": [], **usual, **claims})


def taken(world: World, said: str) -> int:
    return world.client.with_key(said).publish("unread", {"payload": "of a token"}).status


def jwt_secret(world: World) -> None:
    assert [taken(world, said) for said in (signed(), signed(SECRET[::-1]))] == [200, 401]


def jwt_jwks(world: World) -> None:
    key = private_key("ES256")
    with auth_service() as service:
        service.publish(published("ES256", key, "1"))
        port = free_port(HOST)
        more = {"PORT": str(port), "MQOPS_JWT_SECRET": "", "MQOPS_JWT_JWKS": "/keys", "AUTH_SERVICE_URL": service.url}
        with Desk(world.desk.folder, {**world.desk.stores, **more}).running("serve"):
            client = Client(port, signed(key, "ES256", "1"), host=HOST)

            def is_taken() -> bool:
                with contextlib.suppress(OSError):
                    return client.publish("unread", {"payload": 1}).status == 200
                return False

            eventually(is_taken, "the token", 30)
            assert client.with_key(signed()).publish("unread", {"payload": 1}).status in (401, 503)


def jwt_claim(**wrong: Any) -> Check:
    """A setting that makes a token worthless which is good but for ``wrong``."""

    def check(world: World) -> None:
        assert [taken(world, said) for said in (signed(), signed(**wrong))] == [200, 401]

    return check


def jwt_principal(world: World) -> None:
    assert taken(world, signed(user="principal-7")) == 200
    messages = world.client.get(f"{API}/topics/unread/messages").body["messages"]
    assert "principal-7" in [message["producer"] for message in messages]


def jwt_roles(world: World) -> None:
    assert [taken(world, signed(realm={"roles": [role]})) for role in ("publisher", "viewer")] == [200, 403]


def jwt_clock_skew(world: World) -> None:
    ends = (time.time() - 5, time.time() - 15)  # the usual would do for both
    assert [taken(world, signed(exp=moment)) for moment in ends] == [200, 401]


def auth_failure_limit(world: World) -> None:
    wrong = world.client.with_key("no-key")
    answers = [wrong.publish("unread", {"payload": 1}).status for _ in range(60)]
    assert set(answers) == {401, 429}
    assert answers.count(401) < 3 * 15 + 10  # three workers, and what comes back meanwhile
    assert world.publish("unread", 1) == 200


def listen_url(world: World) -> None:
    assert world.spec("handler", "acme/hook")["http"]["url"] == f"{world.receiver_url}hook"


def max_message_size(world: World) -> None:
    sizes = [world.publish("kept", "x" * size) for size in (198, 199)]  # the quotes count
    assert sizes == [200, 413]
    world.drained("kept")


def default_ttl(world: World) -> None:
    assert [world.publish(topic, "ttl") for topic in ("plain", "kept")] == [200, 200]
    look = f"{API}/topics/%s/messages?max=100"
    eventually(lambda: not world.client.get(look % "plain").body["messages"], "the end of its time", 15)
    assert [it["payload"] for it in world.client.get(look % "kept").body["messages"]][-1] == "ttl"
    world.drained("kept")


def max_queue_length(world: World) -> None:
    world.drained("kept")
    assert [world.publish("kept", number) for number in range(6)] == [*[200] * 5, 429]
    world.drained("kept")


def consumer_timeout(world: World) -> None:
    assert world.publish("kept", "leased") == 200
    [first] = eventually(lambda: world.client.pull("kept"), "the message", 5)
    taken = time.time()
    [again] = eventually(lambda: world.client.pull("kept"), "the message again", 5)
    assert (first["id"], again["attempt"], time.time() - taken >= 0.6) == (again["id"], 2, True)
    world.client.settle("ack", "kept", again["ackId"])


def processing_timeout(world: World) -> None:
    assert world.publish("hooked", "hooked hang") == 200
    eventually(lambda: len(world.receiver.times("hooked hang")) == 2, "the second attempt", 10)
    first, second = world.receiver.times("hooked hang")
    assert 0.5 <= second - first <= 4  # it would have taken 5 s to answer


def max_concurrent_consumers(world: World) -> None:
    eventually(lambda: world.receiver.at_once == 0, "an idle receiver", 30)
    world.receiver.most = 0
    for number in range(8):
        assert world.publish("hooked", f"many {number}") == 200
    eventually(lambda: all(world.receiver.times(f"many {number}") for number in range(8)), "all of them", 15)
    assert world.receiver.most == 2


def message_batch_size(world: World) -> None:
    world.drained("kept")
    for number in range(5):
        assert world.publish("kept", number) == 200
    pulled = world.client.post("/subscriptions/kept/pull").body["messages"]
    assert len(pulled) == 3
    world.client.settle("ack", "kept", *(message["ackId"] for message in pulled))
    world.drained("kept")


def health_check_interval(world: World) -> None:
    """What nobody meets is found at the next look, which would be half a minute away."""
    with (
        world.desk.running("reconcile", "--watch", "manifests"),
        psycopg.connect(world.variable("DATABASE_URL")) as database,
    ):
        database.autocommit = True
        count = "SELECT count(*) FROM mq_resources WHERE name = 'hook' AND tenant = 'globex'"
        time.sleep(3)  # its first look is behind it
        database.execute("DELETE FROM mq_resources WHERE name = 'hook' AND tenant = 'globex'")
        eventually(lambda: database.execute(count).fetchone() == (1,), "the repair", 15)


def log_format(world: World) -> None:
    manifest = world.desk.folder / "manifests/all.yaml"
    more = "---\napiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: logged}\n"
    manifest.write_text(manifest.read_text() + more)
    done = world.desk.run("apply", "--auto-approve", MQOPS_LOG_FORMAT="json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["resource"] for line in lines if line["msg"] == "change"] == ["Topic acme/logged"]


def metrics_port(world: World) -> None:
    port = free_port(HOST)
    desk = Desk(world.desk.folder, {**world.desk.stores, "MQOPS_RECONCILER_METRICS_PORT": str(port)})

    def figures() -> str:
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection(HOST, port, 5)) as connection:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        return ""

    with desk.running("reconcile", "--watch", "manifests"):
        eventually(lambda: "mq_reconciler_passes_total{" in figures(), "the figures", 15)


def service(name: str) -> Check:
    def check(world: World) -> None:
        folder = world.desk.folder / f"services-{name}"
        folder.mkdir()
        (folder / "all.yaml").write_text(MANIFESTS.replace("DIGEST", "0" * 64) + SERVICES.replace("NAME", name))
        given = world.desk.run(
            "plan", str(folder), "--target", "handler/acme/service", **{name: "http://given.example:1"}
        )
        assert "http.url: http://given.example:1/x" in given.stdout
        usual = world.desk.run("plan", str(folder), "--target", "handler/acme/service")
        assert f"http.url: {Settings().service_urls[name]}/x" in usual.stdout

    return check


def discovery(world: World) -> None:
    folder = world.desk.folder / "discovered"
    folder.mkdir()
    manifests = MANIFESTS.replace("DIGEST", "0" * 64) + SERVICES.replace("NAME", "AUDIT_SERVICE_URL")
    (folder / "all.yaml").write_text(manifests)
    assert world.desk.run("validate", str(folder)).returncode == 0
    static = world.desk.run("validate", str(folder), SERVICE_DISCOVERY_MODE="static")
    assert (static.returncode, "${AUDIT_SERVICE_URL} is not set" in static.stdout) == (1, True)


EFFECTS: dict[str, Callable[..., None]] = {
    "PORT": port,
    "MQOPS_HOST": host,
    "MQOPS_WEB_WORKERS": web_workers,
    "MQOPS_DRAIN_TIMEOUT": drain_timeout,
    "REDIS_URL": redis_url,
    "DATABASE_URL": database_url,
    "REDIS_KEY_PREFIX": key_prefix,
    "MQOPS_ENVIRONMENT": environment_stamp,
    "MQOPS_ACCEPT_RISK": accept_risk,
    "MQOPS_STATE_DIR": state_dir,
    "MQOPS_SECRETS_DIR": secrets_dir,
    "MQOPS_PRIVATE_TARGETS": private_targets,
    "MQOPS_DEVELOPMENT_CREDENTIAL": development_credential,
    "INTERNAL_SERVICE_TOKEN": internal_service_token,
    "MQOPS_JWT_SECRET": jwt_secret,
    "MQOPS_JWT_JWKS": jwt_jwks,
    "MQOPS_JWT_ISSUER": jwt_claim(iss="other"),
    "MQOPS_JWT_AUDIENCE": jwt_claim(aud="other"),
    "MQOPS_JWT_TENANT_CLAIM": jwt_claim(org={"tenant": "nobody"}),
    "MQOPS_JWT_PRINCIPAL_CLAIM": jwt_principal,
    "MQOPS_JWT_ROLES_CLAIM": jwt_roles,
    "MQOPS_JWT_CLOCK_SKEW": jwt_clock_skew,
    "MQOPS_LISTEN_URL": listen_url,
    "MAX_MESSAGE_SIZE": max_message_size,
    "DEFAULT_TTL": default_ttl,
    "MAX_QUEUE_LENGTH": max_queue_length,
    "CONSUMER_TIMEOUT": consumer_timeout,
    "PROCESSING_TIMEOUT_MS": processing_timeout,
    "MAX_CONCURRENT_CONSUMERS": max_concurrent_consumers,
    "MESSAGE_BATCH_SIZE": message_batch_size,
    "HEALTH_CHECK_INTERVAL": health_check_interval,
    "SERVICE_DISCOVERY_MODE": discovery,
    "MQOPS_LOG_FORMAT": log_format,
    "MQOPS_RECONCILER_METRICS_PORT": metrics_port,
    "AUTH_SERVICE_URL": service("AUTH_SERVICE_URL"),
    "USER_SERVICE_URL": service("USER_SERVICE_URL"),
    "NOTIFICATION_SERVICE_URL": service("NOTIFICATION_SERVICE_URL"),
    "AUDIT_SERVICE_URL": service("AUDIT_SERVICE_URL"),
    "MQOPS_AUTH_FAILURE_LIMIT": auth_failure_limit,  # the last: others would have too many as well
}


@pytest.mark.parametrize("variable", EFFECTS)
def test_a_setting_has_its_effect(world: World, variable: str, tmp_path: Path) -> None:
    check = EFFECTS[variable]
    if check is accept_risk:
        check(world, tmp_path)
    else:
        check(world)


def test_every_variable_that_is_read_has_a_row_and_every_setting_a_variable() -> None:
    assert variables_read() == set(EFFECTS)
    other = {
        **dict.fromkeys(EFFECTS, "1"),
        "PORT": "1",
        "MQOPS_JWT_SECRET": SECRET,
        "MQOPS_JWT_JWKS": "",
        "MQOPS_JWT_CLOCK_SKEW": "1s",
        "INTERNAL_SERVICE_TOKEN": SERVICE_TOKEN,
        "SERVICE_DISCOVERY_MODE": "static",
        "MQOPS_PRIVATE_TARGETS": "*=*",
        "MQOPS_DRAIN_TIMEOUT": "1s",
        "MQOPS_LOG_FORMAT": "json",
        "CONSUMER_TIMEOUT": "100",
        "PROCESSING_TIMEOUT_MS": "10",
    }
    usual, changed = settings_from({}), settings_from(other)
    same = {field.name for field in fields(Settings) if getattr(usual, field.name) == getattr(changed, field.name)}
    assert same == set(), "a setting that no variable gives"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"MQOPS_JWT_SECRET": "short"}, "MQOPS_JWT_SECRET: expected 32 to 512 printable ASCII characters"),
        ({"MQOPS_JWT_SECRET": "ü" * 40}, "MQOPS_JWT_SECRET: expected 32 to 512 printable ASCII characters"),
        ({"INTERNAL_SERVICE_TOKEN": "0123456789 abcdef"}, "INTERNAL_SERVICE_TOKEN: expected 16 to 512 printable ASCII"),
        (
            {"MQOPS_JWT_SECRET": SECRET, "MQOPS_JWT_JWKS": "/keys"},
            "MQOPS_JWT_SECRET and MQOPS_JWT_JWKS: tokens are sig",
        ),
        ({"MQOPS_JWT_JWKS": "keys"}, "MQOPS_JWT_JWKS='keys': expected http://… or https://…, or a path"),
        ({"MQOPS_JWT_JWKS": "/keys", "SERVICE_DISCOVERY_MODE": "static"}, "MQOPS_JWT_JWKS='/keys': expected http://…"),
    ],
)
def test_secrets_and_where_keys_are_have_to_be_so_that_they_work(wrong: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_from(wrong)
    assert str(refused.value).startswith(told)
    assert not any(
        value in str(refused.value) for name, value in wrong.items() if "JWKS" not in name and len(value) > 9
    )


def test_a_secret_is_not_shown_with_the_settings() -> None:
    shown = repr(settings_from({"MQOPS_JWT_SECRET": SECRET, "INTERNAL_SERVICE_TOKEN": SERVICE_TOKEN}))
    assert SECRET not in shown
    assert SERVICE_TOKEN not in shown


def test_the_owners_variables_are_these_and_what_has_no_effect_yet_is_nowhere_claimed() -> None:
    assert set(EFFECTS) & OWNERS == OWNERS - LATER
    claimed = [*ROOT.glob("docs/*.md"), ROOT / "README.md", *ROOT.glob("mqops/**/*.py"), ROOT / "docker-compose.yml"]
    for name in LATER:
        assert [path.name for path in claimed if re.search(rf"\b{name}\b", path.read_text("utf-8"))] == []
