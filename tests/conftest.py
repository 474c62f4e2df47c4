"""Real servers for every test: one Valkey and one PostgreSQL for the whole run.

They are the embedded ones, unless MQOPS_TEST_REDIS_URL or MQOPS_TEST_DATABASE_URL name others. The Redis database
named there is emptied for each test that uses it; in PostgreSQL each test gets a database of its own, cloned from a
migrated template and dropped afterwards.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from databases import created
from redis import Redis

from mqops.embedded.directory import StateDirectory, open_state_directory
from mqops.embedded.postgres import postgres_url, start_postgres
from mqops.embedded.valkey import start_valkey, valkey_url
from reconciler.stores.migrate import migrate

# A shell that runs the tests in the background makes them ignore Ctrl-C, and so every command that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of what else the machine does than of what is tested.
hypothesis.settings.register_profile("mqops", deadline=None)
hypothesis.settings.load_profile("mqops")

_FOR_TESTS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[StateDirectory]:
    """Where the embedded servers of this run live. Its path is short, whatever the checkout's is."""
    path = Path(tempfile.mkdtemp(prefix="mqops-test-"))
    directory = open_state_directory(path)
    yield directory
    directory.remove_sockets()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server_url(servers_directory: StateDirectory) -> Iterator[str]:
    """A Redis-protocol server; most tests want ``redis_url``."""
    given = os.environ.get("MQOPS_TEST_REDIS_URL")
    if given:
        yield given
        return
    process = start_valkey(servers_directory)
    yield valkey_url(servers_directory)
    process.stop(lambda: True)


@pytest.fixture(scope="session")
def database_server_url(servers_directory: StateDirectory) -> Iterator[str]:
    """A PostgreSQL server, at a database that one may connect to; most tests want ``database_url``."""
    given = os.environ.get("MQOPS_TEST_DATABASE_URL")
    if given:
        yield given
        return
    process = start_postgres(servers_directory, _FOR_TESTS)
    yield postgres_url(servers_directory)
    process.stop(lambda: True)


@pytest.fixture(scope="session")
def template_database(database_server_url: str) -> Iterator[str]:
    """The name of a migrated database to clone."""
    name = f"mqops_template_{uuid4().hex[:12]}"
    with created(database_server_url, name) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            migrate(connection)
        yield name


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """A Redis-protocol server with nothing in it."""
    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[Redis]:
    """A connection to ``redis_url``; answers in bytes."""
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def database_url(database_server_url: str, template_database: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"mqops_test_{uuid4().hex[:12]}"
    with created(database_server_url, name, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(database_server_url: str) -> Iterator[str]:
    """A database of the test's own without any tables."""
    name = f"mqops_test_{uuid4().hex[:12]}"
    with created(database_server_url, name) as url:
        yield url
