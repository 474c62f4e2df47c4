"""A running platform, shared by the tests of a module: starting one for each would be most of their time."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from platform_seed import Platform
from psycopg import sql
from redis import Redis
from seed import Seed
from served import served

from mqops.catalog import feed


@pytest.fixture(scope="module")
def platform(
    database_server_url: str, template_database: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Tests of a module that uses it must not use ``redis_url``, which empties the server."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.02)  # each test declares what it needs, and waits for it to be seen
    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
    name = f"mqops_platform_{uuid4().hex[:12]}"
    with psycopg.connect(database_server_url, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template_database)))
    info = psycopg.conninfo.conninfo_to_dict(database_server_url)
    database_url = psycopg.conninfo.make_conninfo(**{**info, "dbname": name})
    seed = Seed(database_url, redis_server_url)
    with served(database_url, redis_server_url, tmp_path_factory.mktemp("state"), seed.installation) as client:
        platform = Platform(seed, client)
        platform.populate()
        yield platform
    with psycopg.connect(database_server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    monkeypatch.undo()
