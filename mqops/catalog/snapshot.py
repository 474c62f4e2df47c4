"""The catalog on disk, so that a process can start while PostgreSQL is away.

A file is one header line, ``mqops-catalog <version> <sha256> <revision> <overrides> <installation>``, and MessagePack:
an array of what the catalog is (installation, environment, revision), the overrides by uid, and the array of its rows.
It is written beside its place and renamed into it, so a reader sees a whole file or none, whoever else writes at the
same time.
"""

import hashlib
import os
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from mqops.catalog.entries import Row
from mqops.errors import ConfigurationError
from mqops.override import Override

_MAGIC = "mqops-catalog"
_VERSION = "3"
_HEADER_BYTES = 192
_ROWS_AT_ONCE = 500


class SnapshotRefused(ConfigurationError):
    """The file is not a whole snapshot of this environment's catalog."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A catalog's rows and what they belong to."""

    installation: str
    environment: str
    revision: int
    rows: Sequence[Row]
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """By uid."""


class Header(NamedTuple):
    """The first line of a snapshot."""

    sha256: str
    revision: int
    overrides: str
    """A digest: they change without a revision."""
    installation: str


class _Stored(msgspec.Struct, array_like=True):
    installation: str
    environment: str
    revision: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[_Stored, dict[str, Override], list[Row]])


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Put ``snapshot`` at ``path``, readable by its owner alone. Blocks on the disk: call it in a thread. Encodes a
    few hundred rows at a time, so that other threads go on. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b" " * (_HEADER_BYTES - 1) + b"\n")
            digest = hashlib.sha256()
            for part in _body(snapshot):
                digest.update(part)
                file.write(part)
            file.seek(0)
            words = (_MAGIC, _VERSION, digest.hexdigest(), snapshot.revision, overrides_digest(snapshot.overrides))
            file.write(" ".join(map(str, (*words, snapshot.installation))).encode())
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _body(snapshot: Snapshot) -> Iterator[bytes]:
    yield b"\x93" + _encoder.encode(_Stored(snapshot.installation, snapshot.environment, snapshot.revision))
    yield _encoder.encode(dict(snapshot.overrides))
    yield b"\xdd" + struct.pack(">I", len(snapshot.rows))
    for start in range(0, len(snapshot.rows), _ROWS_AT_ONCE):
        yield b"".join(map(_encoder.encode, snapshot.rows[start : start + _ROWS_AT_ONCE]))


def read_snapshot(path: Path, environment: str) -> Snapshot | None:
    """The snapshot at ``path``; None when there is none. Raises ``SnapshotRefused`` for a damaged one and for
    another environment's."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    header, body = _read_header(data), data[_HEADER_BYTES:]
    way_out = "delete the file, and start once with PostgreSQL reachable"
    if header is None:
        raise SnapshotRefused(f"{path} is not a catalog snapshot of this version: {way_out}")
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise SnapshotRefused(f"{path} is damaged, its checksum does not match: {way_out}")
    try:
        stored, overrides, rows = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise SnapshotRefused(f"{path} cannot be read ({error}): {way_out}") from error
    if stored.environment != environment:
        raise SnapshotRefused(
            f"{path} belongs to environment {stored.environment!r}, this process to {environment!r}: "
            "set MQOPS_ENVIRONMENT or MQOPS_STATE_DIR"
        )
    return Snapshot(stored.installation, stored.environment, stored.revision, rows, overrides)


def overrides_digest(overrides: Mapping[str, Override]) -> str:
    """Tells them from others, in whichever process."""
    return hashlib.sha256(_encoder.encode(sorted(overrides.items()))).hexdigest()[:16]


def read_header(path: Path) -> Header | None:
    """What the snapshot at ``path`` says of itself; None when there is none to speak of."""
    try:
        with path.open("rb") as file:
            return _read_header(file.read(_HEADER_BYTES))
    except OSError:
        return None


def _read_header(data: bytes) -> Header | None:
    words = data[:_HEADER_BYTES].decode("ascii", "replace").split()
    if len(words) != 6 or words[:2] != [_MAGIC, _VERSION] or not words[3].isdecimal():
        return None
    return Header(sha256=words[2], revision=int(words[3]), overrides=words[4], installation=words[5])
