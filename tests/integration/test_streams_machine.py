"""A model of the streams engine against its scripts on a real server: any sequence of steps holds the invariants.

*Conservation*: per subscription and message exactly one of undelivered, leased, retrying, done, dead-lettered. A dead
letter stays until it is redriven, which puts its message back into the lane that failed, once, or discarded.
*Fencing*: only the current token settles; any other changes nothing. *Publish outcome*: stored means one entry, refused
means none, one idempotency token means one entry and the first one's id; what was for later is waiting, cancelled or
stored (``scheduling_rules``). *Counters*: backlog, `ready`, `due`, the armed
readers and the trim floor equal a recount, without a single ring being heard.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from scheduling_rules import SchedulingRules

from mqops.keys import Keyspace
from mqops.lua import load_script
from mqops.message import new_message_id

BUCKET = 7
PARTITIONS = 2
MAX_BACKLOG = 6
MAX_ATTEMPTS = 3
LONG_MS = 3_600_000
WORKERS = ("w1", "w2")
EXPIRES = ("", "", f"+{LONG_MS}", 1)
SETTLING = ("ack", "retry now", "retry later", "give back", "dead_letter", "extend", "let go")
LOSSES = 2

partitions = st.integers(0, PARTITIONS - 1)
readers = st.sampled_from(("billing", "audit"))


@dataclass
class Entry:
    """What the model knows of one message as one subscription sees it."""

    id: str
    state: str = "undelivered"  # undelivered leased retrying done dead lost redriven discarded
    token: str = "0"
    attempt: int = 0
    losses: int = 0
    owner: str = "-"
    is_due: bool = False  # its lease has run out, or its retry is due
    is_bodyless: bool = False  # its stream was deleted
    has_expired: bool = False
    redrives: int = 0  # what was redriven is carried: it is in no stream

    @property
    def offset(self) -> int:
        return int(self.id.partition("-")[2])


@dataclass
class Reader:
    """A subscription, and the model of each of its lanes in order of offset."""

    uid: str
    dead: str
    lanes: list[list[Entry]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    halfway: set[bytes] = field(default_factory=set)  # letters that are put back and not removed yet
    removed: dict[str, int] = field(default_factory=lambda: {"redriven": 0, "discarded": 0})

    def entries(self) -> list[Entry]:
        return [entry for lane in self.lanes for entry in lane]

    def unfinished(self) -> int:
        return sum(entry.state in ("undelivered", "leased", "retrying") for entry in self.entries())


class StreamsMachine(SchedulingRules):
    """Each rule does one thing to the server and to the model, and compares what it answered."""

    redis: "redis.Redis"
    bucket, partition_count, max_backlog = BUCKET, PARTITIONS, MAX_BACKLOG

    def __init__(self) -> None:
        super().__init__()
        self.keys = Keyspace(f"m{uuid.uuid4().hex[:8]}:")
        self.topic = str(uuid.uuid4())
        self.readers = {name: Reader(str(uuid.uuid4()), str(uuid.uuid4())) for name in ("billing", "audit")}
        self.tokens: dict[str, tuple[bytes, bytes]] = {}
        self.claims: list[tuple[str, int, str, str]] = []  # every hand-out there ever was
        self.published = 0

    # -- the scripts --------------------------------------------------------------------------------------------

    def run(self, package: str, name: str, *arguments: Any) -> Any:
        script = load_script(package, name)
        try:
            return self.redis.evalsha(script.sha, 1, self.keys.epoch(BUCKET), *arguments)
        except redis.exceptions.NoScriptError:
            return self.redis.eval(script.source, 1, self.keys.epoch(BUCKET), *arguments)

    def step(self, name: str, *arguments: Any) -> Any:
        return self.run("mqops.streams.scripts", name, *arguments)

    def prepare_topic(self, retention_ms: int = LONG_MS) -> None:
        provision = "reconciler.scripts"
        self.run(provision, "prepare_topic", self.topic, "Topic", "acme", "orders", PARTITIONS, 1, "active",
                 MAX_BACKLOG, retention_ms)  # fmt: skip

    def prepare_reader(self, reader: Reader) -> int:
        created: int = self.run(
            "reconciler.scripts", "prepare_subscription", reader.uid, "acme", "reader", self.topic, 1, MAX_ATTEMPTS,
            self.keys.bucket(BUCKET) + reader.dead, "active", "earliest")  # fmt: skip
        for entry in reader.entries():
            if entry.is_bodyless and entry.state in ("undelivered", "retrying"):
                entry.state = "lost"
        return created

    @initialize()
    def prepare(self) -> None:
        self.run("reconciler.scripts", "prepare_bucket")
        self.prepare_topic()
        for reader in self.readers.values():
            self.run("reconciler.scripts", "prepare_topic", reader.dead, "Topic", "acme", "dead", 1, 1, "active", "",
                     LONG_MS)  # fmt: skip
            assert self.prepare_reader(reader) == PARTITIONS

    # -- publishing ---------------------------------------------------------------------------------------------

    def message(self, partition: int, token: str, payload: bytes, expires: Any = "") -> list[Any]:
        return [new_message_id(partition), "key", b"\x90", payload, expires, token,
                *([payload.ljust(16, b"."), LONG_MS] if token else [])]  # fmt: skip

    @rule(
        batch=st.lists(
            st.tuples(partitions, st.sampled_from(("", "", "", "a", "b")), st.booleans(), st.sampled_from(EXPIRES)),
            min_size=1,
            max_size=5,
        ),
        generation=st.sampled_from((1, 1, 1, 0)),
    )
    def publish(self, batch: list[tuple[int, str, bool, Any]], generation: int) -> None:
        messages = [self.message(p, token, b"x" if same else b"y", expires) for p, token, same, expires in batch]
        arguments: list[Any] = []
        for partition, run in groupby(zip(batch, messages, strict=True), key=lambda pair: pair[0][0]):
            parts = [message for _, message in run]
            arguments += [self.topic, generation, partition, len(parts), *chain.from_iterable(parts)]
        reply = self.step("publish", "bell", *arguments)
        assert len(reply) == len(batch)
        for (partition, token, *_), message, line in zip(batch, messages, reply, strict=True):
            self.check_publish(partition, generation, token, message, line)

    def check_publish(self, partition: int, generation: int, token: str, message: list[Any], line: bytes) -> None:
        if generation == 0:
            assert line == b"!STALE"
        elif token in self.tokens:
            digest, first = self.tokens[token]
            assert line == (
                first if digest == message[6] else b"!CONFLICT the idempotency key was used with another message"
            )
        elif self.most_unfinished() >= MAX_BACKLOG:
            assert line.startswith(b"!BACKLOG ")
            holder = next(r for r in self.readers.values() if r.uid == line.split()[1].decode())
            assert holder.unfinished() >= MAX_BACKLOG
        else:
            assert line[:1] not in (b"!", b"="), line
            self.note_stored(partition, line.decode(), has_expired=message[4] == 1)
            if token:
                self.tokens[token] = (message[6], b"=" + message[0] + f"{partition} ".encode() + line)

    def note_stored(self, partition: int, entry_id: str, *, has_expired: bool = False) -> None:
        for reader in self.readers.values():
            reader.lanes[partition].append(Entry(entry_id, has_expired=has_expired))
            published = [entry for entry in reader.lanes[partition] if not entry.redrives]
            assert int(entry_id.partition("-")[2]) == len(published)
        self.published += 1

    def most_unfinished(self) -> int:
        return max(reader.unfinished() for reader in self.readers.values())

    # -- handing out and settling -------------------------------------------------------------------------------

    @rule(name=readers, partition=partitions, count=st.integers(1, 20), consumer=st.sampled_from(("pull", *WORKERS)),
          is_short=st.booleans())  # fmt: skip
    def fetch(self, name: str, partition: int, count: int, consumer: str, is_short: bool) -> None:
        reader = self.readers[name]
        lane = reader.lanes[partition]
        available = [e for e in lane if e.state == "undelivered" or (e.state == "retrying" and e.is_due)]
        status, more, *handed = self.step(
            "fetch", reader.uid, partition, consumer, count, 0 if is_short else LONG_MS, 1 << 20, "bell"
        )
        assert status == b"OK"
        with_body = [e for e in available if not e.is_bodyless and not e.has_expired]
        self.note_lost(reader, partition)
        self.note_expired(reader, partition, available)
        if not any(e.is_bodyless for e in available):
            assert len(handed) == min(count, len(with_body))
        assert len(handed) <= min(count, len(with_body))
        for entry_id, token, attempt, _fields in handed:
            entry = next(e for e in lane if e.id == entry_id.decode())
            assert entry in available
            assert not entry.has_expired, "what has expired is never handed out"
            entry.state, entry.token, entry.owner = "leased", token.decode(), consumer
            entry.attempt, entry.is_due = entry.attempt + 1, is_short
            assert attempt == entry.attempt
            self.claims.append((name, partition, entry.id, entry.token))
        left = [e for e in available if e.state in ("undelivered", "retrying")]
        if not any(e.is_bodyless for e in left):
            assert bool(more) == bool(left)
        if len(handed) < count:
            assert not any(e.has_expired for e in left), "all that had expired was in the way"
        undelivered = [e.state == "undelivered" for e in lane if not e.redrives]
        assert undelivered == sorted(undelivered), "new entries are handed out in order"

    def note_expired(self, reader: Reader, partition: int, available: list[Entry]) -> None:
        """What a fetch came to that had expired is dead: it is in nobody's hands, and behind what is read."""
        position = self.redis.hget(self.keys.meta(BUCKET, reader.uid), f"pos:{partition}").decode()
        reached = int(position.partition("-")[2])
        in_flight = {key.decode() for key in self.redis.hkeys(self.keys.flight(BUCKET, reader.uid, partition))}
        for entry in available:
            is_waiting = entry.state == "undelivered" and entry.offset > reached
            if entry.has_expired and not is_waiting and entry.id not in in_flight:
                self.kill(entry)

    def note_lost(self, reader: Reader, partition: int) -> None:
        """A fetch that finds a retry without its body counts it as lost."""
        waiting = self.members(self.keys.retry(BUCKET, reader.uid, partition))
        for entry in reader.lanes[partition]:
            if entry.state == "retrying" and entry.is_bodyless and entry.id not in waiting:
                entry.state = "lost"

    def current(self, claim: tuple[str, int, str, str]) -> Entry | None:
        """The entry, when the claim's token is the one that may settle it."""
        name, partition, entry_id, token = claim
        entry = next(e for e in self.readers[name].lanes[partition] if e.id == entry_id)
        return entry if entry.state in ("leased", "retrying") and entry.token == token != "0" else None

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from(SETTLING))
    def settle(self, data: st.DataObject, how: str) -> None:
        claim = data.draw(st.sampled_from(self.claims), label="claim")
        name, partition, entry_id, token = claim
        reader, entry = self.readers[name], self.current(claim)
        before = self.dump() if entry is None else None
        if how == "ack":
            reply = self.step("ack", reader.uid, partition, entry_id, token)
        elif how == "dead_letter":
            reply = self.step(
                "dead_letter", "bell", reader.uid, partition, "rejected", "no", entry_id, token, b"i" * 16
            )
        elif how in ("extend", "let go"):
            lease_ms = LONG_MS if how == "extend" else 0
            reply = self.step("extend", reader.uid, partition, "pull", lease_ms, entry_id, token)
        else:
            delay_ms = LONG_MS if how == "retry later" else 0
            reply = self.step(
                "retry", "bell", reader.uid, partition, entry_id, token, delay_ms, int(how != "give back")
            )
        assert reply == [int(entry is not None)]
        if entry is None:
            assert self.dump() == before, "a stale token changes nothing"
            return
        if how == "ack":
            entry.state = "done"
        elif how == "dead_letter":
            self.kill(entry)
        elif how in ("extend", "let go"):
            if entry.state == "retrying":
                entry.owner = "pull"
            entry.state, entry.is_due = "leased", how == "let go"
        else:
            entry.state, entry.token, entry.is_due = "retrying", "0", how != "retry later"
            entry.attempt -= how == "give back"

    def kill(self, entry: Entry) -> None:
        """Dead-lettered, or lost where there is no body to move."""
        entry.state = "lost" if entry.is_bodyless else "dead"

    def dump(self) -> dict[bytes, bytes | None]:
        return {key: self.redis.dump(key) for key in self.redis.scan_iter(self.keys.prefix + "*", 1000)}

    # -- dead letters -------------------------------------------------------------------------------------------

    def letters(self, reader: Reader) -> list[tuple[bytes, dict[bytes, bytes]]]:
        found: list[tuple[bytes, dict[bytes, bytes]]] = self.redis.xrange(self.keys.stream(BUCKET, reader.dead, 0))
        return found

    def message_of(self, reader: Reader, letter: dict[bytes, bytes]) -> tuple[int, Entry]:
        """The partition and the entry that failed, as the letter names them."""
        record = json.loads(letter[b"x"])
        place = (record["offset"], record["redrives"])
        states = ("dead", "redriven")
        [entry] = [
            e for e in reader.lanes[record["partition"]] if (e.offset, e.redrives) == place and e.state in states
        ]
        return record["partition"], entry

    @rule(name=readers, data=st.data(), is_killed=st.booleans(), repeats=st.integers(1, 2))
    def redrive(self, name: str, data: st.DataObject, is_killed: bool, repeats: int) -> None:
        """In two steps; whoever is killed between them leaves the letter, and nothing comes of it a second time."""
        reader = self.readers[name]
        letters = self.letters(reader)
        if not letters:
            return
        entry_id, letter = data.draw(st.sampled_from(letters), label="letter")
        self.put_back(reader, entry_id, letter, repeats)
        if not is_killed:
            self.remove(reader, entry_id, "redriven")

    def put_back(self, reader: Reader, entry_id: bytes, letter: dict[bytes, bytes], repeats: int) -> None:
        partition, entry = self.message_of(reader, letter)
        fields = (letter[b"i"], entry.offset, b"m" * 16, letter[b"k"], letter[b"e"], letter[b"d"], letter[b"x"])
        for _ in range(repeats):
            reply = self.step("redrive", "bell", reader.uid, partition, LONG_MS, *fields)
            assert reply == [int(entry.state == "dead")]
            if entry.state == "dead":
                entry.state = "redriven"
                known = {e.id for e in reader.lanes[partition]}
                [new] = {key.decode() for key in self.redis.hkeys(self.carried(reader, partition))} - known
                reader.lanes[partition].append(Entry(new, "retrying", is_due=True, redrives=entry.redrives + 1))
                reader.halfway.add(entry_id)

    @rule(name=readers, partition=partitions, is_done=st.booleans())
    def redrive_what_fails(self, name: str, partition: int, is_done: bool) -> None:
        """A message that fails, is redriven, handed out, and done or not: more often than chance has it."""
        reader = self.readers[name]
        self.fetch(name=name, partition=partition, count=20, consumer="pull", is_short=False)
        self.settle_first(reader, partition)
        for entry_id, letter in self.letters(reader):
            if self.message_of(reader, letter)[1].state == "dead":
                self.put_back(reader, entry_id, letter, 1)
                self.remove(reader, entry_id, "redriven")
                break
        self.fetch(name=name, partition=partition, count=20, consumer="pull", is_short=False)
        for entry in reader.lanes[partition]:
            if is_done and entry.redrives and entry.state == "leased":
                assert self.step("ack", reader.uid, partition, entry.id, entry.token) == [1]
                entry.state = "done"

    @rule(name=readers, data=st.data())
    def discard(self, name: str, data: st.DataObject) -> None:
        reader = self.readers[name]
        letters = self.letters(reader)
        if letters:
            entry_id, letter = data.draw(st.sampled_from(letters), label="letter")
            _, entry = self.message_of(reader, letter)
            entry.state = "discarded" if entry.state == "dead" else entry.state
            self.remove(reader, entry_id, "discarded")

    def remove(self, reader: Reader, entry_id: bytes, how: str) -> None:
        assert self.step("remove_letters", reader.dead, 0, how, entry_id, entry_id) == [1, 0]
        reader.halfway.discard(entry_id)
        reader.removed[how] += 1

    def carried(self, reader: Reader, partition: int) -> str:
        return self.keys.carried(BUCKET, reader.uid, partition)

    @invariant()
    def what_was_redriven_is_carried_while_it_is_unfinished(self) -> None:
        for reader in self.readers.values():
            for partition, lane in enumerate(reader.lanes):
                kept = {e.id for e in lane if e.redrives and e.state in ("leased", "retrying")}
                assert {key.decode() for key in self.redis.hkeys(self.carried(reader, partition))} == kept

    # -- what time and accidents do -----------------------------------------------------------------------------

    @rule()
    def sweep(self) -> None:
        before, killed = self.before_sweep(), 0
        self.step("sweep", "bell", *(uuid.uuid4().bytes for _ in range(100)))
        for reader in self.readers.values():
            for entry in reader.entries():
                if entry.state == "leased" and entry.is_due:
                    if entry.attempt >= MAX_ATTEMPTS:
                        self.kill(entry)
                        killed += 1
                    else:
                        entry.state = "retrying"  # with its token: who settles late still succeeds
        self.after_sweep(before, killed)

    @rule(name=readers, partition=partitions)
    def hand_out_twice(self, name: str, partition: int) -> None:
        """What is needed for a token to be stale while another is current, more often than chance has it."""
        self.fetch(name=name, partition=partition, count=20, consumer="pull", is_short=True)
        self.sweep()
        self.fetch(name=name, partition=partition, count=20, consumer="pull", is_short=False)

    @rule(worker=st.sampled_from(WORKERS))
    def take_over(self, worker: str) -> None:
        self.step("reap", "bell", worker, LOSSES, *(uuid.uuid4().bytes for _ in range(100)))
        for reader in self.readers.values():
            for entry in reader.entries():
                if entry.state == "leased" and entry.owner == worker:
                    entry.losses += 1
                    if entry.losses >= LOSSES:
                        self.kill(entry)
                    else:
                        entry.state, entry.token, entry.is_due = "retrying", "0", True
                        entry.attempt -= 1

    @rule(name=readers, partition=partitions)
    def destroy_group_and_repair(self, name: str, partition: int) -> None:
        reader = self.readers[name]
        self.redis.xgroup_destroy(self.keys.stream(BUCKET, self.topic, partition), reader.uid)
        if not any(e.redrives and e.state == "retrying" and e.is_due for e in reader.lanes[partition]):
            # What carries its body needs no group, and is handed out first.
            assert self.step("fetch", reader.uid, partition, "pull", 1, LONG_MS, 1 << 20, "bell")[0] == b"GONE"
        assert self.prepare_reader(reader) == 1

    @rule(partition=partitions)
    def delete_stream_and_repair(self, partition: int) -> None:
        self.redis.delete(self.keys.stream(BUCKET, self.topic, partition))
        message = self.message(partition, "", b"x")
        line = self.step("publish", "bell", self.topic, 1, partition, 1, *message)[0]
        assert line.startswith((b"!DAMAGED", b"!BACKLOG")), line
        self.prepare_topic()
        for reader in self.readers.values():
            for entry in reader.lanes[partition]:
                entry.is_bodyless = not entry.redrives
            assert self.prepare_reader(reader) == 1

    @rule(name=readers, partition=partitions, to=st.integers(0, 20))
    def move_group_and_repair(self, name: str, partition: int, to: int) -> None:
        """Nothing is skipped and nothing comes twice."""
        reader = self.readers[name]
        ids = ["0-0", *(entry.id for entry in reader.lanes[partition] if not entry.redrives)]
        stream = self.keys.stream(BUCKET, self.topic, partition)
        self.redis.xgroup_setid(stream, reader.uid, ids[min(to, len(ids) - 1)])
        assert self.prepare_reader(reader) == 0

    @rule(partition=partitions, data=st.data())
    def delete_messages_and_repair(self, partition: int, data: st.DataObject) -> None:
        stream = self.keys.stream(BUCKET, self.topic, partition)
        ids = [entry_id.decode() for entry_id, _ in self.redis.xrange(stream)]
        chosen = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(set()), label="deleted")
        self.redis.xdel(stream, *chosen, "0-1")
        for reader in self.readers.values():
            for entry in reader.lanes[partition]:
                entry.is_bodyless |= entry.id in chosen
            assert self.prepare_reader(reader) == 0

    @rule()
    def forget_scripts(self) -> None:
        self.redis.script_flush()

    def stale(self) -> list[int]:
        asked = [part for partition in range(PARTITIONS) for part in (self.topic, partition)]
        found: list[int] = self.step("stale", *asked)
        return found

    @rule()
    def trim(self) -> None:
        """Nothing is old: nothing may change."""
        before = {reader.uid: reader.unfinished() for reader in self.readers.values()}
        assert self.stale() == []
        for partition in range(PARTITIONS):
            assert self.step("trim", "bell", self.topic, partition, *(b"i" * 16 for _ in range(9))) == [0, 0]
        assert before == {reader.uid: reader.unfinished() for reader in self.readers.values()}

    @rule()
    def outlive_retention(self) -> None:
        """Everything is old: what is unfinished is dead-lettered, except under a live lease."""
        time.sleep(0.002)
        self.prepare_topic(retention_ms=0)
        streams = [self.keys.stream(BUCKET, self.topic, partition) for partition in range(PARTITIONS)]
        carrying = {
            partition
            for reader in self.readers.values()
            for partition in range(PARTITIONS)
            if self.redis.exists(self.carried(reader, partition))
        }
        assert self.stale() == [
            place for place, stream in enumerate(streams, 1) if self.redis.xlen(stream) or place - 1 in carrying
        ]
        for partition in range(PARTITIONS):
            self.step("trim", "bell", self.topic, partition, *(uuid.uuid4().bytes for _ in range(100)))
        self.prepare_topic()
        for reader in self.readers.values():
            for entry in reader.entries():
                if entry.state in ("undelivered", "retrying"):
                    self.kill(entry)

    @rule(name=readers, partition=partitions)
    def run_out_of_memory(self, name: str, partition: int) -> None:
        """Publishing is refused as a whole; settling and sweeping go on."""
        reader = self.readers[name]
        self.redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                self.step("publish", "bell", *self.message(partition, "", b"x"))
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                self.step("schedule", "bell", self.topic, 1, "in", 0, b"i" * 16, partition, b"x" * 9, "")
            self.settle_first(reader, partition)
            self.sweep()
        finally:
            self.redis.config_set("maxmemory", 0)

    def settle_first(self, reader: Reader, partition: int) -> None:
        entry = next((e for e in reader.lanes[partition] if e.state == "leased"), None)
        if entry is not None:
            reply = self.step(
                "dead_letter", "bell", reader.uid, partition, "rejected", "no", entry.id, entry.token, b"i" * 16
            )
            assert reply == [1]
            self.kill(entry)

    # -- invariants ---------------------------------------------------------------------------------------------

    @invariant()
    def conservation(self) -> None:
        for reader in self.readers.values():
            for partition, lane in enumerate(reader.lanes):
                leased = {e.id for e in lane if e.state == "leased"}
                retrying = {e.id for e in lane if e.state == "retrying"}
                assert self.members(self.keys.lease(BUCKET, reader.uid, partition)) == leased
                assert self.members(self.keys.retry(BUCKET, reader.uid, partition)) == retrying
                flight = self.redis.hkeys(self.keys.flight(BUCKET, reader.uid, partition))
                assert {entry_id.decode() for entry_id in flight} == leased | retrying
                undelivered = [e.id for e in lane if e.state == "undelivered"]
                stream = self.keys.stream(BUCKET, self.topic, partition)
                position = self.redis.hget(self.keys.meta(BUCKET, reader.uid), f"pos:{partition}")
                unread = self.redis.xrange(stream, b"(" + position)
                assert [entry_id.decode() for entry_id, _ in unread] == undelivered

    @invariant()
    def dead_letters(self) -> None:
        for reader in self.readers.values():
            stored = self.redis.xlen(self.keys.stream(BUCKET, reader.dead, 0))
            counted = int(self.redis.hget(self.keys.meta(BUCKET, reader.uid), "dead_lettered") or 0)
            lost = int(self.redis.hget(self.keys.meta(BUCKET, reader.uid), "lost") or 0)
            states = [entry.state for entry in reader.entries()]
            assert stored == states.count("dead") + len(reader.halfway)
            assert counted == stored + sum(reader.removed.values())
            counters = self.redis.hmget(self.keys.meta(BUCKET, reader.dead), "redriven", "discarded")
            assert [int(value or 0) for value in counters] == list(reader.removed.values())
            assert lost == states.count("lost")

    @invariant()
    def counters(self) -> None:
        total = int(self.redis.hget(self.keys.meta(BUCKET, self.topic), "total") or 0)
        assert total == self.published
        for reader in self.readers.values():
            meta = self.redis.hgetall(self.keys.meta(BUCKET, reader.uid))
            assert total - int(meta[b"base"]) - int(meta[b"done"]) == reader.unfinished()

    @invariant()
    def timers(self) -> None:
        ready = self.members(self.keys.ready(BUCKET))
        due = dict(self.redis.zrange(self.keys.due(BUCKET), 0, -1, withscores=True))
        now = self.redis.time()[0] * 1000
        for reader in self.readers.values():
            for partition, lane in enumerate(reader.lanes):
                name = f"{reader.uid}:{partition}"
                has_work = any(e.state == "undelivered" or (e.state == "retrying" and e.is_due) for e in lane)
                # A lease that ran out becomes a retry when it is swept; until then `due` tells of it.
                assert (name in ready) == has_work
                undelivered = any(e.state == "undelivered" for e in lane)
                armed = self.redis.sismember(self.keys.armed(BUCKET, self.topic, partition), reader.uid)
                assert bool(armed) == (not undelivered)
                leases = [score for _, score in self.zset(self.keys.lease(BUCKET, reader.uid, partition))]
                later = [s for _, s in self.zset(self.keys.retry(BUCKET, reader.uid, partition)) if s > now + 60_000]
                expected = min([*leases, *later], default=None)
                assert due.get(name.encode()) == expected

    @invariant()
    def mirror(self) -> None:
        """The group's pending list is what is leased or retrying, where the group was not destroyed meanwhile."""
        for reader in self.readers.values():
            for partition, lane in enumerate(reader.lanes):
                in_flight = {e.id for e in lane if e.state in ("leased", "retrying")}
                stream = self.keys.stream(BUCKET, self.topic, partition)
                pending = self.redis.xpending_range(stream, reader.uid, "-", "+", 100)
                assert {p["message_id"].decode() for p in pending} <= in_flight

    def members(self, key: str) -> set[str]:
        return {member.decode() for member in self.redis.zrange(key, 0, -1)}

    def zset(self, key: str) -> list[tuple[bytes, float]]:
        return self.redis.zrange(key, 0, -1, withscores=True)

    def teardown(self) -> None:
        for key in self.redis.scan_iter(self.keys.prefix + "*", 1000):
            self.redis.delete(key)


def test_any_sequence_of_steps_holds_the_invariants(redis_client: "redis.Redis") -> None:
    StreamsMachine.redis = redis_client
    run_state_machine_as_test(
        StreamsMachine,
        settings=settings(max_examples=60, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )


class Chosen:
    """Draws what it was given."""

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids

    def draw(self, strategy: object, label: str) -> set[str]:
        return self.ids


def test_what_was_deleted_behind_all_that_is_read_is_no_work(redis_client: "redis.Redis") -> None:
    """A lane that had nothing left but what somebody had deleted stayed among those that have work."""
    StreamsMachine.redis = redis_client
    machine = StreamsMachine()
    try:
        machine.prepare()
        machine.publish(batch=[(0, "", False, ""), (0, "", False, "")], generation=1)
        stream = machine.keys.stream(BUCKET, machine.topic, 0)
        [(last, _)] = machine.redis.xrevrange(stream, count=1)
        machine.delete_messages_and_repair(partition=0, data=Chosen({last.decode()}))
        machine.outlive_retention()
        machine.timers()
        machine.counters()
        machine.publish(batch=[(0, "", False, "")], generation=1)
        machine.timers()
    finally:
        machine.teardown()
