"""The watching reconciler: looks when files change, when the data plane rings, and every so often anyway.

Only waiting, threads and back-off are here; a look itself is ``upkeep``'s. Stores may come and go: each look opens its
own connections, so there is nothing stale to recover.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field

import redis
import watchfiles

from mqops.errors import ConfigurationError, MqopsError
from mqops.keys import Keyspace
from reconciler.stores import instance
from reconciler.upkeep import Upkeep, Verdict

_QUIET_MS = 200
"""Saves that follow each other within this are one burst."""
_BURST_MS = 2_000
"""However long a burst lasts, it is looked at after this."""
_RING_SECONDS = 1.0
"""Between two looks that the data plane rings for: it rings for each message it cannot place."""
_BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)
_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 1.0

OpenRedis = Callable[[], AbstractContextManager["redis.Redis"]]


@dataclass(slots=True)
class Watch:
    """Runs until it is stopped."""

    upkeep: Upkeep
    open_redis: OpenRedis
    resync_seconds: float
    """Between two looks while nothing seems to happen."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _rung: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Looks, and waits for the next reason to look. An apply under way when ``stop`` is called ends between
        changes."""
        self.upkeep.is_stopped = self._stop.is_set
        threads = [
            threading.Thread(target=self._follow_files, name="files", daemon=True),
            threading.Thread(target=self._follow_bell, name="bell", daemon=True),
        ]
        for thread in threads:
            thread.start()
        failures = 0
        while not self._stop.is_set():
            self._wake.clear()
            self._rung.clear()
            started = time.monotonic()
            verdict = self.upkeep.look()
            failures = failures + 1 if verdict is Verdict.UNFINISHED else 0
            self._wait(failures, time.monotonic() - started)
        for thread in threads:
            thread.join(_PATIENCE_SECONDS)

    def stop(self) -> None:
        """Safe to call from a signal handler."""
        self._stop.set()
        self._wake.set()

    def _wait(self, failures: int, took_seconds: float) -> None:
        looked = time.monotonic()
        seconds = self.resync_seconds
        if failures:
            seconds = min(seconds, _BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS)) - 1])
        self._wake.wait(seconds)
        if self._rung.is_set():
            self._stop.wait(max(0.0, max(_RING_SECONDS, took_seconds) - (time.monotonic() - looked)))

    def _follow_files(self) -> None:
        """A directory that is not there, or not any more, is looked for again; the resync sees it meanwhile."""
        told = False
        while not self._stop.is_set():
            try:
                self._watch_directory()
            except FileNotFoundError:
                pass
            except (OSError, RuntimeError) as error:
                if not told:
                    self.upkeep.say(f"files cannot be watched ({error}): changes are found at the next regular look")
                told = True
            self._stop.wait(_POLL_SECONDS)

    def _watch_directory(self) -> None:
        """Until the directory is replaced by another of its name: that one has to be watched anew."""
        directory = self.upkeep.directory
        watched = directory.stat().st_ino
        changes = watchfiles.watch(
            directory,
            debounce=_BURST_MS,
            step=_QUIET_MS,
            stop_event=self._stop,
            rust_timeout=int(_POLL_SECONDS * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        is_first = True
        for changed in changes:
            is_replaced = directory.stat().st_ino != watched
            # What was saved between the last look and the beginning of the watch rings for nobody.
            if changed or is_replaced or (is_first and self.upkeep.is_behind()):
                self._wake.set()
            if is_replaced:
                return
            is_first = False

    def _follow_bell(self) -> None:
        while not self._stop.is_set():
            with suppress(redis.RedisError, OSError, MqopsError, ConfigurationError), self.open_redis() as client:
                keys = Keyspace(self.upkeep.settings.redis_key_prefix)
                stamp = instance.read_broker(client, keys)
                if stamp is not None:
                    self._hear(client, keys.repairs(stamp.installation))
            self._stop.wait(_POLL_SECONDS)

    def _hear(self, client: "redis.Redis", channel: str) -> None:
        with client.pubsub(ignore_subscribe_messages=True) as bell:  # type: ignore[no-untyped-call]
            bell.subscribe(channel)
            while not self._stop.is_set():
                if bell.get_message(timeout=_POLL_SECONDS) is not None:
                    self._rung.set()
                    self._wake.set()
