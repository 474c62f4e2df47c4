"""Puts the HTTP service together and runs it: what `mqops serve` does.

gunicorn's master checks the stores, listens and keeps the workers running; each worker has an event loop, an engine
and a catalog of its own. It starts with PostgreSQL away (from the catalog's snapshot) and with Redis away (answering
503 until it is there).
"""

import asyncio
import gc
import logging
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import falcon.asgi
import uvloop  # noqa: F401 - loaded before the fork: workers share its pages
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn_worker import UvicornWorker

from mqops import expressions
from mqops.access import Tokens
from mqops.api.app import Parts, create_app
from mqops.api.direct import DirectProtocol
from mqops.api.health import HealthMonitor
from mqops.bootstrap.configuration import ReconciledConfiguration
from mqops.bootstrap.control import refuse_unsafe_stores
from mqops.bootstrap.installation import SNAPSHOT, find_instance
from mqops.catalog import CatalogFeed, Statuses
from mqops.embedded.port import check_port_is_free, url_host
from mqops.errors import ConfigurationError
from mqops.keys import Keyspace
from mqops.runtime import Consumed, RuntimeStore
from mqops.settings import Settings, TokenSettings
from mqops.streams import Streams, Sweeper
from reconciler.stores.instance import Instance

if TYPE_CHECKING:
    from mqops.access.jwks import Jwks

log = logging.getLogger(__name__)

SERVER_OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    "http": DirectProtocol,
    "ws": "websockets-sansio",
    "ws_max_size": 1_048_576,
    "ws_per_message_deflate": False,
    "lifespan": "on",
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
}
"""What uvicorn is told, wherever the service runs."""

_KEEP_ALIVE_SECONDS = 75
_PARENT_SECONDS = 0.5
_OPEN_FILES = 65_536
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_COLLECTOR_THRESHOLDS = (10_000, 10, 10)
"""A fourteenth as often as by default. What goes through everything stops all for a tenth of a second where thousands
wait, and finds nothing: a request leaves no cycles behind, but for the last publish of a connection."""
_BALANCES = sys.platform == "linux"
"""Whether each worker listens for itself, the kernel spreading connections over them. From a listener that they share,
whoever wakes first accepts all that wait: one busy, the others idle. Elsewhere SO_REUSEPORT does not spread them."""


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way, for as long as the settings give. Raises
    ``ConfigurationError`` for what a restart would not mend."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", force=True
    )
    if settings.port:
        check_port_is_free(settings.host, settings.port)
    instance = find_instance(settings)
    refuse_unsafe_stores(settings)
    _allow_connections()
    expressions.engine()  # before the fork: no worker waits for it when the first filter comes
    try:
        _Service(settings, instance).run()
    except SystemExit as stopped:
        if stopped.code == Arbiter.WORKER_BOOT_ERROR:
            raise ConfigurationError("the web workers cannot start: the lines above say why") from stopped
        raise


def _allow_connections() -> None:
    """Each consumer that waits is a connection: as many as the system lets us have, not the 1,024 of most shells."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (ValueError, OSError) as error:
            log.warning("there can be no more than %d connections a process: %s", soft, error)


class _Service(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """gunicorn, told everything here and nothing by files or its own variables."""

    def __init__(self, settings: Settings, instance: Instance) -> None:
        self.settings = settings
        self.instance = instance
        self.master = os.getpid()
        # The workers' own listeners come and go with them: this one holds the port, and takes no connection.
        self.port_holder = _hold_port(settings.host, settings.port) if _BALANCES else None
        super().__init__()

    def load_config(self) -> None:
        port = self.port_holder.getsockname()[1] if self.port_holder is not None else self.settings.port
        options = {
            "bind": f"{url_host(self.settings.host)}:{port}",
            "workers": self.settings.web_workers,
            "worker_class": _Worker,
            "logger_class": _Log,
            "loglevel": "warning",
            "keepalive": _KEEP_ALIVE_SECONDS,
            "graceful_timeout": math.ceil(self.settings.drain_seconds) + 5,
            "control_socket_disable": True,
            "reuse_port": _BALANCES,
            "when_ready": _tell_ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        _Master(self).run()

    def load(self) -> "falcon.asgi.App[Any, Any]":
        """Called in each worker, after the fork."""
        return create_service(self.settings, self.instance.installation, self.master)


def create_service(settings: Settings, installation: str, master: int | None = None) -> "falcon.asgi.App[Any, Any]":
    """The ASGI application of one process, whose parts start and stop with its lifespan; the process ends when
    ``master``, its parent, does. Raises ``ConfigurationError`` when a store is not named."""
    if settings.database_url is None or settings.redis_url is None:
        raise ConfigurationError("set DATABASE_URL and REDIS_URL, or let `mqops up` start servers and this service")
    streams = Streams.open(settings.redis_url, Keyspace(settings.redis_key_prefix), installation, name="serve")
    feed = CatalogFeed(settings.database_url, settings.environment, settings.state_dir / SNAPSHOT)
    monitor = HealthMonitor(streams, feed, settings.health_check_interval_seconds)
    sweeper = Sweeper(streams, _partitions(feed), settings.health_check_interval_seconds)
    runtime = RuntimeStore(settings.database_url)
    statuses = Statuses(settings.database_url, feed)
    consumed = Consumed(runtime)
    streams.on_done(consumed.note)
    keys, tokens = _tokens(settings.tokens)
    parts = Parts(streams, feed, monitor, ReconciledConfiguration(settings), runtime, statuses, tokens)
    return create_app(parts, settings, _Life(parts, sweeper, consumed, master, keys))


def _tokens(settings: TokenSettings) -> tuple["Jwks | None", Tokens | None]:
    """What follows the auth service's keys, and what checks its tokens, as far as they are wanted. Loaded only then:
    cryptography takes 20 MB of each process."""
    if settings.secret is None and settings.jwks_url is None:
        return None, None
    from mqops.access.jwks import Jwks
    from mqops.access.tokens import SharedSecret, TokenVerifier

    if settings.secret is not None:
        return None, TokenVerifier(SharedSecret(settings.secret), settings)
    assert settings.jwks_url is not None
    keys = Jwks(settings.jwks_url)
    return keys, TokenVerifier(keys, settings)


def _partitions(feed: CatalogFeed) -> Callable[[], Iterator[tuple[int, str, int]]]:
    """Every partition there is, as of each call."""
    return lambda: feed.current.partitions()


class _Life:
    """Starts and stops a worker's parts, in the loop that they run in."""

    def __init__(
        self, parts: Parts, sweeper: Sweeper, consumed: Consumed, master: int | None, keys: "Jwks | None"
    ) -> None:
        self._keys = keys
        self._parts = parts
        self._sweeper = sweeper
        self._consumed = consumed
        self._master = master
        self._watch: asyncio.Task[None] | None = None

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        if self._master is not None:
            self._watch = asyncio.create_task(_watch_parent(self._master), name="parent watch")
        await self._parts.feed.start()
        await self._parts.streams.start()
        self._sweeper.start()
        self._consumed.start()
        self._parts.monitor.start()
        if self._keys is not None:
            await self._keys.start()
        # What is loaded by now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTOR_THRESHOLDS)

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._keys is not None:
            await self._keys.stop()
        await self._parts.monitor.stop()
        await self._consumed.stop()
        await self._sweeper.stop()
        await self._parts.monitor.unheard.settle()
        await self._parts.streams.stop()
        await self._parts.runtime.close()
        await self._parts.statuses.close()
        await self._parts.feed.stop()


async def _watch_parent(parent: int) -> None:
    """A worker whose master was killed has nobody to stop it later: it drains and ends."""
    while True:
        await asyncio.sleep(_PARENT_SECONDS)
        if os.getppid() != parent:
            log.error("the master process is gone: this worker ends")
            os.kill(os.getpid(), signal.SIGTERM)
            return


class _Worker(UvicornWorker):  # type: ignore[misc] # uvicorn-worker has no types
    """One event loop: uvloop and httptools, with nothing logged per request."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = SERVER_OPTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Past this, requests are cut off without an answer: none that is not stored has been answered 2xx.
        self.config.timeout_graceful_shutdown = self.app.settings.drain_seconds
        uvicorn_log = logging.getLogger("uvicorn.error")
        uvicorn_log.propagate = True
        uvicorn_log.setLevel(logging.ERROR)  # it warns of every client that does not speak HTTP

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


class _Master(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's master, whose workers hear a signal to stop from their first moment on."""

    def spawn_worker(self) -> Any:
        # A worker has the master's handlers until it sets its own, and a signal that they take there is lost: it waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _hold_port(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    holder = socket.socket(family, kind)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(address)
    return holder


class _Log(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's log, in with ours."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _tell_ready(arbiter: Any) -> None:
    addresses = ", ".join(f"http://{address}" for address in arbiter.cfg.bind)
    log.info("listening on %s with %d workers", addresses, arbiter.num_workers)
    # Forked after this, the workers share what is loaded for as long as no collector of theirs writes to it.
    gc.collect()
    gc.freeze()
