"""Databases of a PostgreSQL server that tests make, take away for a while, and drop."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict


@contextmanager
def created(server_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, a clone of ``template``; it is dropped afterwards, whoever is connected."""
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(create)
    yield _with_database(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def away(database_url: str) -> Iterator[None]:
    """The database takes no connections, and those there are were cut."""
    name = conninfo_to_dict(database_url)["dbname"]
    assert isinstance(name, str)
    database = sql.Identifier(name)
    with psycopg.connect(_with_database(database_url, "template1"), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))


def _with_database(url: str, name: str) -> str:
    # By hand: urllib drops the empty host of a socket's URL.
    return re.sub(r"^(\w+://[^/?]*)(?:/[^?]*)?", rf"\1/{name}", url)
