"""The route table: what the data plane answers to, and what each route is made of."""

from dataclasses import dataclass
from typing import Any

import falcon.asgi

from mqops.access import Access, Failures, Tokens
from mqops.api.batch import PublishBatch
from mqops.api.deadletters.act import Discard, Redrive
from mqops.api.deadletters.read import LetterList, OneLetter
from mqops.api.directory import Directory
from mqops.api.edge import Request
from mqops.api.errors import answer_errors
from mqops.api.health import HealthMonitor, HealthReport, Live, Ready
from mqops.api.internal import DetailedHealth, InternalPublish, InternalTopics, QueueStatus
from mqops.api.management.configuration import Changes, Configuration
from mqops.api.management.inventory import Inventory
from mqops.api.management.operate import Overruling, Pause, Purge, Resume
from mqops.api.management.plans import Plans
from mqops.api.management.read import Collection, Member
from mqops.api.management.write import WritableCollection, WritableMember, Writing
from mqops.api.message import Message
from mqops.api.openapi.serve import OpenApi
from mqops.api.peek import Peek
from mqops.api.publish import Publish, PublishRoute
from mqops.api.publisher import Publisher
from mqops.api.pull import Pull
from mqops.api.puller import Puller
from mqops.api.schedule import PublishLater, Scheduled, ScheduledList, ScheduledMember
from mqops.api.schedule_body import read_delayed_body, read_scheduled_body
from mqops.api.settle import ExtendBody, NackBody, Settle, SettleBody, Settling
from mqops.api.stream import Stream, Streaming
from mqops.api.waiting import WaitingRoom
from mqops.api.window import Windows
from mqops.catalog import CatalogFeed, Statuses
from mqops.model import INTERNAL_PATHS, KINDS
from mqops.runtime import RuntimeStore
from mqops.settings import Settings
from mqops.streams import Streams

DEFAULT_PULL = 10


class App(falcon.asgi.App):  # type: ignore[type-arg]
    """The application, with what ``direct`` answers in its place."""

    direct_publish: Publish

    waiting_room: WaitingRoom

    def drain(self) -> None:
        """The server stops: nobody is to wait any longer. May be called more than once."""
        self.waiting_room.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made over; whoever makes it starts and stops them."""

    streams: Streams
    feed: CatalogFeed
    monitor: HealthMonitor
    configuration: Configuration
    runtime: RuntimeStore
    statuses: Statuses
    tokens: Tokens | None = None
    """Without it, tokens of the auth service are not known."""


def create_app(parts: Parts, settings: Settings, lifespan: Any = None) -> App:
    """The ASGI application. ``lifespan`` is a middleware with ``process_startup`` and ``process_shutdown``, which
    starts and stops ``parts``."""
    streams, feed = parts.streams, parts.feed
    access = Access(
        lambda: feed.current,
        settings.development_credential,
        settings.internal_service_token,
        parts.tokens,
        Failures(settings.auth_failure_limit) if settings.auth_failure_limit else None,
    )
    directory = Directory(lambda: feed.current)
    publisher = Publisher(streams, feed, directory, parts.monitor.unheard)
    publish = Publish(access, publisher, feed)
    health = HealthReport(parts.monitor, access)

    app = App(middleware=[lifespan] if lifespan is not None else None, request_type=Request)
    app.direct_publish = publish
    app.req_options.strip_url_path_trailing_slash = True
    answer_errors(app)

    app.add_route("/api/v1/mq/publish", PublishRoute(publish))
    app.add_route("/api/v1/mq/publish/batch", PublishBatch(access, publisher, feed))
    app.add_route("/api/v1/mq/publish/delayed", PublishLater(read_delayed_body, access, publisher, feed))
    app.add_route("/api/v1/mq/publish/scheduled", PublishLater(read_scheduled_body, access, publisher, feed))
    app.add_route("/api/v1/mq/topics/{name}/publish", PublishRoute(publish, "Topic"))
    app.add_route("/api/v1/mq/queues/{name}/publish", PublishRoute(publish, "Queue"))

    _add_consuming(app, access, directory, parts, min(DEFAULT_PULL, settings.message_batch_size))

    app.add_route("/api/v1/mq/topics/{name}/messages", Peek(access, directory, streams))
    app.add_route("/api/v1/mq/topics/{name}/messages/{id}", Message(access, directory, streams, "Topic"))
    app.add_route("/api/v1/mq/queues/{name}/messages/{id}", Message(access, directory, streams, "Queue"))
    for plural, kind in (("topics", "Topic"), ("queues", "Queue")):
        scheduled = Scheduled(kind, access, directory, streams)
        app.add_route(f"/api/v1/mq/{plural}/{{name}}/scheduled", ScheduledList(scheduled))
        app.add_route(f"/api/v1/mq/{plural}/{{name}}/scheduled/{{id}}", ScheduledMember(scheduled))

    for kind, plural in (("Topic", "topics"), ("Subscription", "subscriptions")):
        letters, over = f"/api/v1/mq/{plural}/{{name}}/deadletters", (access, directory, feed, streams.letters, kind)
        app.add_route(letters, LetterList(*over))
        app.add_route(f"{letters}/{{id}}", OneLetter(*over))
        app.add_route(f"{letters}/redrive", Redrive(*over))
        app.add_route(f"{letters}/discard", Discard(*over))

    _add_management(app, access, parts)
    _add_internal(app, access, parts, publish)

    app.add_route("/health", health)
    app.add_route("/api/v1/mq/health", health)
    app.add_route("/livez", Live())
    app.add_route("/openapi.json", OpenApi())
    app.add_route("/readyz", Ready(parts.monitor))
    return app


def _add_consuming(app: App, access: Access, directory: Directory, parts: Parts, batch_size: int) -> None:
    puller, settling = Puller(parts.streams), Settling(parts.streams)
    app.waiting_room = room = WaitingRoom(parts.streams)
    parts.feed.on_change(room.follow)
    windows = Windows(parts.streams)
    for plural, find in (("subscriptions", directory.subscription), ("queues", directory.queue)):
        member = f"/api/v1/mq/{plural}/{{name}}"
        app.add_route(f"{member}/pull", Pull(access, find, puller, room, batch_size))
        app.add_route(f"{member}/stream", Stream(Streaming(access, find, puller, room, windows, settling)))
        for verb, body in (("ack", SettleBody), ("nack", NackBody), ("extend", ExtendBody)):
            app.add_route(f"{member}/{verb}", Settle(access, find, settling, body))


def _add_internal(app: App, access: Access, parts: Parts, publish: Publish) -> None:
    topics = InternalTopics(lambda: parts.feed.current)
    for path in INTERNAL_PATHS:
        app.add_route(f"/internal/mq/{path}", InternalPublish(path, access, topics, publish))
    for route, path in (("audit-queue-status", "audit-logs"), ("notification-queue", "notifications")):
        app.add_route(f"/internal/mq/{route}", QueueStatus(path, access, topics, parts.streams))
    app.add_route("/internal/mq/health-detailed", DetailedHealth(access, parts.monitor))


def _add_management(app: App, access: Access, parts: Parts) -> None:
    feed = parts.feed
    inventory = Inventory(feed, parts.statuses)
    changes = Changes(parts.configuration)
    writing = Writing(access, changes, feed)
    app.add_route("/api/v1/mq/plans", Plans(access, changes))
    app.add_route("/api/v1/mq/queues/{name}/purge", Purge(access, inventory, parts.streams))
    overruling = Overruling(access, inventory, feed, parts.runtime)
    app.add_route("/api/v1/mq/subscriptions/{name}/pause", Pause(overruling))
    app.add_route("/api/v1/mq/subscriptions/{name}/resume", Resume(overruling))
    for kind in KINDS.values():
        collection, member = f"/api/v1/mq/{kind.plural}", f"/api/v1/mq/{kind.plural}/{{name}}"
        if kind.name == "Source":  # no API widens what a source may do
            app.add_route(collection, Collection(kind, access, inventory))
            app.add_route(member, Member(kind, access, inventory))
        else:
            app.add_route(collection, WritableCollection(kind, access, inventory, writing))
            app.add_route(member, WritableMember(kind, access, inventory, writing))
