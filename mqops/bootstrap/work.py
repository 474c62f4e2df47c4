"""Puts a push worker together and runs it: what `mqops work` does.

It starts with PostgreSQL away (from the catalog's snapshot) and with Redis away (it waits).
"""

import asyncio
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import uvloop

from mqops import expressions
from mqops.bootstrap.control import refuse_unsafe_stores
from mqops.bootstrap.installation import SNAPSHOT, find_instance
from mqops.catalog import CatalogFeed
from mqops.delivery.dispatch import Limits
from mqops.delivery.worker import Worker
from mqops.errors import ConfigurationError
from mqops.handlers.http import HttpSender
from mqops.handlers.secrets import SecretStore
from mqops.handlers.targets import TargetPolicy
from mqops.keys import Keyspace
from mqops.runtime import Consumed, RuntimeStore
from mqops.settings import Settings
from mqops.streams import Streams, Sweeper

RESOLVER_THREADS = 32
"""Host names are looked up in threads; more of them than Python's few, so that one slow name server holds up little."""


def run_worker(settings: Settings) -> None:
    """Deliver until SIGTERM or SIGINT, then drain; a second signal hurries. Raises ``ConfigurationError``."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", force=True
    )
    policy = TargetPolicy(settings.private_targets)
    instance = find_instance(settings)
    refuse_unsafe_stores(settings)
    expressions.engine()  # not while messages wait
    uvloop.run(_work(settings, policy, instance.installation))


async def _work(settings: Settings, policy: TargetPolicy, installation: str) -> None:
    if settings.database_url is None or settings.redis_url is None:
        raise ConfigurationError("set DATABASE_URL and REDIS_URL, or let `mqops up` start servers and this worker")
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(RESOLVER_THREADS, "resolver"))
    stop, hurry = _signals(loop)
    feed = CatalogFeed(settings.database_url, settings.environment, settings.state_dir / SNAPSHOT)
    await feed.start()
    streams = Streams.open(settings.redis_url, Keyspace(settings.redis_key_prefix), installation, name="work")
    sender = HttpSender(policy, SecretStore(settings.secrets_dir, os.environ, lambda: feed.current.tenants))
    # Asked for anew each time: ``current`` is another catalog after every apply.
    sweeper = Sweeper(streams, lambda: feed.current.partitions(), settings.health_check_interval_seconds)
    limits = Limits(batch=settings.message_batch_size, default_timeout_ms=settings.processing_timeout_ms)
    worker = Worker(streams, feed, sender, limits)
    runtime = RuntimeStore(settings.database_url)
    consumed = Consumed(runtime)
    streams.on_done(consumed.note)
    await streams.start()
    sweeper.start()
    consumed.start()
    try:
        await worker.run(stop, hurry, settings.drain_seconds)
    finally:
        await consumed.stop()
        await runtime.close()
        await sweeper.stop()
        await sender.close()
        await streams.stop()
        await feed.stop()


def _signals(loop: asyncio.AbstractEventLoop) -> tuple[asyncio.Event, asyncio.Event]:
    """The first signal sets the first event, a second one the other."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def heard() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return stop, hurry
