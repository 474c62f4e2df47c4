"""Brings the database to the code's version: `mqops/migrations/NNNN_name.sql`, in order, all or none.

A migration that was applied is history: when its text or the order changed, or the database knows migrations that this
code does not, nothing is done and the reason is said.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from psycopg import Connection

from mqops.errors import ConfigurationError
from mqops.sql import queries


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL."""

    number: int
    name: str
    checksum: str
    """SHA-256 of the text, in hexadecimal."""
    sql: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A migration as the database remembers it."""

    number: int
    name: str
    checksum: str


def load_migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    migrations = []
    for file in resources.files("mqops.migrations").iterdir():
        match = re.fullmatch(r"([0-9]{4})_(\w+)\.sql", file.name)
        if match:
            text = file.read_text("utf-8")
            migrations.append(Migration(int(match[1]), match[2], hashlib.sha256(text.encode()).hexdigest(), text))
    return sorted(migrations, key=lambda migration: migration.number)


def pending(known: Sequence[Migration], applied: Sequence[AppliedMigration]) -> list[Migration]:
    """What is left to apply. Raises ``ConfigurationError`` when the database and this code do not share a history."""
    for migration, done in zip(known, applied, strict=False):
        if (migration.number, migration.checksum) != (done.number, done.checksum):
            raise ConfigurationError(
                f"migration {done.number:04}_{done.name} was applied with another text than this version has: "
                "use the version of mqops that applied it, or another database"
            )
    if len(applied) > len(known):
        newest = applied[-1]
        raise ConfigurationError(
            f"the database is newer than this version of mqops (it has migration {newest.number:04}_{newest.name}): "
            "install the newer version"
        )
    return list(known[len(applied) :])


def read_applied(connection: Connection[Any]) -> list[AppliedMigration]:
    """What the database has; nothing when it was never migrated."""
    sql = queries("migrations")
    (exists,) = connection.execute(sql["exists"]).fetchone() or (False,)
    if not exists:
        return []
    return [AppliedMigration(*row) for row in connection.execute(sql["applied"])]


def migrate(connection: Connection[Any]) -> list[Migration]:
    """Apply what is pending, in one transaction, and return it. Two processes at once: the second waits, then finds
    nothing to do. Raises ``ConfigurationError`` as ``pending`` does."""
    sql = queries("migrations")
    with connection.transaction():
        connection.execute(sql["lock"])
        connection.execute(sql["create"])
        done = read_applied(connection)
        if not done:
            connection.execute(sql["forget"])
        todo = pending(load_migrations(), done)
        for migration in todo:
            connection.execute(migration.sql)
            connection.execute(sql["record"], (migration.number, migration.name, migration.checksum))
    return todo
