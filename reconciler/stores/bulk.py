"""Asks Redis many small questions at once, and reads only the answers that are others than the last time.

Observing forty thousand resources takes 120,000 commands, whose answers are eighteen megabytes. Asked again, nearly all
of them are the same, byte for byte: so they are taken from the connection as they come, a slice of some hundred at a
time, and a slice is read only where it differs from what it was. Else what came of it then comes of it again: the very
same object, by which whoever uses it can tell.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_hex
from typing import Any, Generic, TypeVar

import hiredis
import redis as drivers
from redis import Redis
from redis.connection import ConnectionInterface

Command = tuple[str, ...]
Answers = Sequence[Any]
"""One for each command of a slice: texts, numbers and lists of these (of a map, keys and values in turn). What is
missing, or holds something else than it was asked for, answers ``None``."""

_RECEIVED_AT_ONCE = 262_144
_NOT_OURS = ("ERR no such key", "WRONGTYPE")


class Questions:
    """A slice of commands, ready to be sent."""

    __slots__ = ("count", "packed")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.count = len(commands)
        self.packed = b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Slice(Generic[Value]):
    """What was asked and answered, and what came of it."""

    packed: bytes
    digest: bytes
    value: Value


class Bulk(Generic[Value]):
    """Asks, and remembers what came of it. ``read`` is what makes it of the answers to the slice with a key."""

    def __init__(self, read: Callable[[str, Answers], Value]) -> None:
        self._read = read
        self._slices: dict[str, _Slice[Value]] = {}

    def ask(self, redis: "Redis", slices: Mapping[str, Questions]) -> dict[str, Value]:
        """What comes of each slice, by its key; of one that is the same as the last time, and is answered the same, it
        is the very same. Raises what redis-py raises for a server that is away or refuses."""
        connection = redis.connection_pool.get_connection()
        try:
            found = self._asked(connection, slices)
        except BaseException:
            connection.disconnect()  # type: ignore[no-untyped-call] # answers that nobody read are on their way
            raise
        finally:
            redis.connection_pool.release(connection)
        self._slices = found
        return {key: one.value for key, one in found.items()}

    def _asked(self, connection: ConnectionInterface, slices: Mapping[str, Questions]) -> dict[str, _Slice[Value]]:
        found: dict[str, _Slice[Value]] = {}
        for (key, asked), answer in zip(slices.items(), _exchanged(connection, list(slices.values())), strict=True):
            digest = blake2b(answer, digest_size=16).digest()
            known = self._slices.get(key)
            if known is None or known.digest != digest or known.packed != asked.packed:
                known = _Slice(asked.packed, digest, self._read(key, _parsed(answer, asked.count)))
            found[key] = known
        return found


def _exchanged(connection: ConnectionInterface, slices: Sequence[Questions]) -> Iterator[bytes]:
    """The raw answers to each slice. The next slice is sent when the answers to one are all here, so that the server
    works on it while these are looked at. Any sooner, and it would do that first and hand out the rest of these then:
    it writes 64 KiB at a time."""
    mark = token_hex(16)
    echo = hiredis.pack_command(("ECHO", mark))  # type: ignore[arg-type]
    end = f"${len(mark)}\r\n{mark}\r\n".encode()
    received = bytearray()
    answer: bytes | None = None
    for asked in slices:
        connection.send_packed_command([asked.packed + echo])  # type: ignore[no-untyped-call]
        if answer is not None:
            yield answer
        answer = _received(connection, received, end)
    if answer is not None:
        yield answer


def _received(connection: ConnectionInterface, received: bytearray, end: bytes) -> bytes:
    """What comes before ``end``; what comes after it is left in ``received``."""
    searched = 0
    while (at := received.find(end, searched)) < 0:
        searched = max(0, len(received) - len(end))
        received += _more(connection)
    answer = bytes(received[:at])
    del received[: at + len(end)]
    return answer


def _more(connection: ConnectionInterface) -> bytes:
    try:
        # redis-py has no other way to the bytes of an answer.
        data: bytes = connection._sock.recv(_RECEIVED_AT_ONCE)  # type: ignore[attr-defined]
    except TimeoutError as error:
        raise drivers.TimeoutError("no answer in time") from error
    except OSError as error:
        raise drivers.ConnectionError(str(error)) from error
    if not data:
        raise drivers.ConnectionError("the server closed the connection")
    return data


def _parsed(answer: bytes, count: int) -> Answers:
    reader = hiredis.Reader(encoding="utf-8", errors="replace")
    reader.feed(answer)
    answers: list[Any] = []
    while len(answers) < count:
        one = reader.gets()
        if type(one) is list:  # nearly all of them
            answers.append(one)
        elif not isinstance(one, hiredis.PushNotification):  # what a server says unasked, in RESP3
            answers.append(_value(one))
    return answers


def _value(answer: Any) -> Any:
    if isinstance(answer, dict):  # RESP3 has maps
        return [part for pair in answer.items() for part in pair]
    if not isinstance(answer, hiredis.ReplyError):
        return answer
    text = str(answer)
    if text.startswith(_NOT_OURS):
        return None
    raise (drivers.exceptions.NoPermissionError if text.startswith("NOPERM") else drivers.ResponseError)(text)
