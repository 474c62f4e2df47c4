"""Failed sign-ins of an address are limited, in whichever way its requests go."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from databases import created
from installation import Installation
from redis import Redis
from served import API, Client, served
from waiting import eventually

KEY = "key-of-acme"
LIMIT = 6


@pytest.fixture(scope="module")
def client(
    database_server_url: str, template_database: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    name = f"mqops_failures_{uuid4().hex[:12]}"
    with Redis.from_url(redis_server_url) as redis:
        redis.flushdb()
    with created(database_server_url, name, template_database) as database_url:
        installation = Installation(database_url, redis_server_url)
        installation.tenant("acme")
        installation.topic("acme", "orders")
        installation.credential("acme", "all", KEY, roles=["publisher", "consumer", "viewer"])
        state: Path = tmp_path_factory.mktemp("state")
        with served(database_url, redis_server_url, state, installation.id, auth_failure_limit=LIMIT) as client:
            good = client.with_key(KEY)
            eventually(lambda: good.get(f"{API}/topics/orders").status == 200, "the topic", 5)
            yield good


def publish_from(port: int, address: str, key: str, *, chunked: bool = False) -> tuple[int, str | None, bytes]:
    """Status, ``Retry-After`` and body of a publish from another address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(address, 0))
    with contextlib.closing(connection):
        body = iter([b'{"payload": 1}']) if chunked else b'{"payload": 1}'
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", f"{API}/topics/orders/publish", body, headers)
        response = connection.getresponse()
        return response.status, response.getheader("retry-after"), response.read()


@pytest.mark.parametrize(("address", "chunked"), [("127.0.0.11", False), ("127.0.0.12", True)])
def test_past_the_limit_an_address_is_told_to_wait(client: Client, address: str, chunked: bool) -> None:
    answers = [publish_from(client.port, address, f"guess-{number}", chunked=chunked) for number in range(LIMIT + 3)]
    assert [status for status, _, _ in answers] == [401] * LIMIT + [429] * 3
    _, retry_after, body = answers[-1]
    assert json.loads(body)["code"] == "TOO_MANY_FAILURES"
    assert retry_after == str(json.loads(body)["retryAfter"])
    assert 1 <= int(retry_after) <= 60 / LIMIT + 1
    assert publish_from(client.port, address, KEY, chunked=chunked)[0] == 200


def test_both_ways_count_together(client: Client) -> None:
    statuses = [publish_from(client.port, "127.0.0.13", "guess", chunked=bool(number % 2))[0] for number in range(8)]
    assert statuses == [401] * LIMIT + [429] * 2


def test_other_addresses_go_on(client: Client) -> None:
    for _ in range(LIMIT + 1):
        publish_from(client.port, "127.0.0.14", "guess")
    assert publish_from(client.port, "127.0.0.15", "guess")[0] == 401


def test_asking_for_health_without_a_key_is_no_failure(client: Client) -> None:
    for _ in range(LIMIT * 2):
        assert client.with_key(None).get("/health").status == 200
    assert client.with_key("guess").get(f"{API}/topics").status == 401
