"""Messages for later in the model of the streams engine: per message that was taken exactly one of waiting, cancelled
and stored; and what is due is stored in the order of times, as far as there is room.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mqops.keys import Keyspace
from mqops.message import new_message_id

DAY_MS = 86_400_000
_BODY = b"\x00\x03\x00\x00\x00\x01\x00key\x90"
"""After the partition: how long key and envelope are, and these."""


@dataclass
class Later:
    """What the model knows of a message for later."""

    id: bytes
    number: int
    partition: int
    due_ms: int
    payload: bytes
    state: str = "waiting"  # waiting cancelled stored

    @property
    def place(self) -> tuple[int, int]:
        return self.due_ms, self.number


@dataclass
class Before:
    """How it was before a sweep."""

    due: list[Later]
    ends: list[str]
    most_unfinished: int
    is_postponed: bool


class SchedulingRules(RuleBasedStateMachine):
    """What is needed of the machine stands first."""

    redis: Any
    keys: Keyspace
    topic: str
    tokens: dict[str, tuple[bytes, bytes]]
    bucket: int
    partition_count: int
    max_backlog: int

    def step(self, name: str, *arguments: Any) -> Any:
        raise NotImplementedError

    def prepare_topic(self, retention_ms: int = DAY_MS) -> None:
        raise NotImplementedError

    def most_unfinished(self) -> int:
        raise NotImplementedError

    def note_stored(self, partition: int, entry_id: str) -> None:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.later: list[Later] = []

    def waiting(self) -> list[Later]:
        return sorted((it for it in self.later if it.state == "waiting"), key=lambda it: it.place)

    def now_ms(self) -> int:
        seconds, microseconds = self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    @rule(
        batch=st.lists(
            st.tuples(st.integers(0, 1), st.sampled_from(("", "", "a", "c")), st.booleans()), min_size=1, max_size=4
        ),
        when=st.sampled_from((("in", 0), ("in", DAY_MS), ("at", 5), ("at", 5))),
        generation=st.sampled_from((1, 1, 1, 0)),
    )
    def schedule(self, batch: list[tuple[int, str, bool]], when: tuple[str, int], generation: int) -> None:
        arguments: list[Any] = []
        messages = []
        for partition, token, same in batch:
            payload = b"x" if same else b"y"
            digest = f"{payload.decode()}{when}".encode().ljust(16, b"~")[:16]
            messages.append((new_message_id(partition), partition, token, payload, digest))
            body = bytes((0, partition)) + _BODY + payload
            arguments += (messages[-1][0], partition, body, token, *((digest, DAY_MS) if token else ()))
        reply = self.step("schedule", "bell", self.topic, generation, *when, *arguments)
        assert len(reply) == len(batch)
        for message, line in zip(messages, reply, strict=True):
            self.check_scheduled(generation, message, line)

    def check_scheduled(self, generation: int, message: tuple[bytes, int, str, bytes, bytes], line: bytes) -> None:
        message_id, partition, token, payload, digest = message
        if generation == 0:
            assert line == b"!STALE"
        elif token in self.tokens:
            known, first = self.tokens[token]
            conflict = b"!CONFLICT the idempotency key was used with another message"
            assert line == (first if known == digest else conflict)
        else:
            self.later.append(Later(message_id, len(self.later), partition, int(line), payload))
            if token:
                self.tokens[token] = (digest, b"=" + message_id + f"{partition} ".encode() + line)

    @precondition(lambda self: self.later)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.later), label="cancelled")
        assert self.step("cancel", self.topic, message.id) == int(message.state == "waiting")
        if message.state == "waiting":
            message.state = "cancelled"

    @precondition(lambda self: self.later)
    @rule(data=st.data(), when=st.sampled_from((("in", 0), ("in", DAY_MS), ("at", 4))))
    def reschedule(self, data: st.DataObject, when: tuple[str, int]) -> None:
        message = data.draw(st.sampled_from(self.later), label="moved")
        due_ms = self.step("reschedule", "bell", self.topic, message.id, *when)
        assert (due_ms == -1) == (message.state != "waiting")
        if message.state == "waiting":
            message.due_ms = due_ms

    @rule(after=st.integers(0, 10), count=st.integers(1, 4))
    def list_page(self, after: int, count: int) -> None:
        waiting = self.waiting()
        place: list[Any] = []
        if after and self.later:  # also after one that waits no more
            last = self.later[(after - 1) % len(self.later)]
            place = [last.due_ms, (last.number + 1).to_bytes(6, "big") + last.id]
            waiting = [it for it in waiting if it.place > last.place]
        total, more, *found = self.step("scheduled", self.topic, count, 1 << 20, *place)
        assert total == len(self.waiting())
        assert [entry[0][6:] for entry in found] == [it.id for it in waiting[:count]]
        assert bool(more) == (len(waiting) > count)

    @rule()
    def clear(self) -> None:
        assert self.step("clear_scheduled", self.topic) == len(self.waiting())
        for message in self.waiting():
            message.state = "cancelled"

    @rule()
    def lose_the_timer_and_repair(self) -> None:
        self.redis.zrem(self.keys.due(self.bucket), f"{self.topic}:delay")
        self.prepare_topic()

    @rule()
    def time_passes(self) -> None:
        """A topic that was full is tried again, at the latest after a second."""
        if self.waiting():
            name = f"{self.topic}:delay"
            self.redis.zadd(self.keys.due(self.bucket), {name: self.waiting()[0].due_ms})

    def before_sweep(self) -> Before:
        now = self.now_ms()
        ends = [str(self.redis.hget(self.keys.meta(self.bucket, self.topic), f"last:{number}") or b"0-0", "ascii")
                for number in range(self.partition_count)]  # fmt: skip
        score = self.redis.zscore(self.keys.due(self.bucket), f"{self.topic}:delay")
        due = [it for it in self.waiting() if it.due_ms <= now]
        return Before(due, ends, self.most_unfinished(), score is not None and score > now)

    def after_sweep(self, before: Before, killed: int) -> None:
        """``killed``: how much room the sweep itself may have made, before it stored or after."""
        left = {member[6:] for member in self.redis.zrange(self.keys.delay(self.bucket, self.topic), 0, -1)}
        stored = [it for it in before.due if it.id not in left]
        room = self.max_backlog - before.most_unfinished
        if not before.is_postponed:
            assert stored == before.due[: len(stored)], "what is due first is stored first"
            assert len(stored) >= min(len(before.due), room)
            assert len(stored) <= max(0, room + killed)
        for number in range(self.partition_count):
            expected = [it for it in stored if it.partition == number]
            entries = self.redis.xrange(self.keys.stream(self.bucket, self.topic, number), f"({before.ends[number]}")
            assert [(fields[b"i"], fields[b"k"], fields[b"e"], fields[b"d"]) for _, fields in entries] == [
                (it.id, b"key", b"\x90", it.payload) for it in expected
            ]
            for it, (entry_id, _) in zip(expected, entries, strict=True):
                it.state = "stored"
                self.note_stored(number, entry_id.decode())

    @invariant()
    def later_is_one_of_waiting_cancelled_and_stored(self) -> None:
        waiting = self.waiting()
        key = self.keys.delay(self.bucket, self.topic)
        zset = self.redis.zrange(key, 0, -1, withscores=True)
        assert [(member[6:], int(score)) for member, score in zset] == [(it.id, it.due_ms) for it in waiting]
        assert set(self.redis.hkeys(f"{key}:b")) == {it.id for it in waiting}
        due = self.redis.zscore(self.keys.due(self.bucket), f"{self.topic}:delay")
        if not waiting:
            assert due is None
        elif due != waiting[0].due_ms:
            assert waiting[0].due_ms <= due <= self.now_ms() + 1000
