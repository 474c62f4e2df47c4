"""A platform at work for tests of its metadata: manifests in which hardly a field has its default, a receiver of
webhooks, and what tests ask of all that.
"""

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from redis import Redis
from served import API, Client
from waiting import eventually

from mqops.bootstrap.control import open_stores
from mqops.settings import Settings
from reconciler.pipeline import apply_manifests, author_of
from reconciler.reading import check_manifests
from reconciler.request import Execution, Request

MAKER, OTHER, ADMIN, GLOBEX = "key-of-maker", "key-of-other", "key-of-admin", "key-of-globex"

BASE = """\
apiVersion: mqops/v1
kind: Tenant
metadata: {name: acme}
---
apiVersion: mqops/v1
kind: Tenant
metadata: {name: globex}
---
CREDENTIALS
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: orders}
spec:
  displayName: All orders
  description: Orders as the checkout takes them
  partitions: 3
  retention: 36h
  producers: [maker]
  consumers: [maker]
  public: true
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: plain}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: brief}
spec: {retention: 1s}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: halted}
spec: {state: paused}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: shelved}
spec: {state: archived}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: hooked}
---
apiVersion: mqops/v1
kind: Topic
metadata: {tenant: acme, name: graveyard}
---
apiVersion: mqops/v1
kind: Queue
metadata: {tenant: acme, name: jobs}
spec: {maxAttempts: 7}
"""

READERS = """\
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: reading}
spec:
  topic: orders
  startFrom: earliest
  ackDeadline: 1s
  filter: payload.n > 0
  retry: {maxAttempts: 3, initialDelay: 1500ms, jitter: 0}
  deadLetter: graveyard
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: globex, name: foreign}
spec: {topic: acme/orders}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: brief}
spec: {topic: brief}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: shelved}
spec: {topic: shelved}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: still}
spec: {topic: plain, state: paused}
---
apiVersion: mqops/v1
kind: Handler
metadata: {tenant: acme, name: hook}
spec: {type: http, http: {url: "URL", timeout: 4s, headers: {X-App: mqops}}}
---
apiVersion: mqops/v1
kind: Subscription
metadata: {tenant: acme, name: billing}
spec:
  topic: hooked
  handler: hook
  concurrency: 2
  retry: {maxAttempts: 2, initialDelay: 700ms, jitter: 0}
  deadLetter: graveyard
"""


def credential(tenant: str, name: str, key: str, roles: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return (
        f"apiVersion: mqops/v1\nkind: Credential\nmetadata: {{tenant: {tenant}, name: {name}}}\n"
        f"spec: {{principal: {name}, roles: [{roles}], keys: [{{sha256: {digest}}}]}}\n---\n"
    )


@dataclass
class Receiver:
    """A webhook: fails what says so, hangs where told to, takes its time over the rest; knows what it had at once."""

    arrived: list[tuple[float, dict[str, str], Any]] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, headers: dict[str, str], body: Any) -> int:
        with self.lock:
            self.arrived.append((time.time(), headers, body))
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(5 if "hang" in str(body) else 0.2)
        with self.lock:
            self.at_once -= 1
        return 500 if body == "fail" else 200

    def times(self, body: Any) -> list[float]:
        with self.lock:
            return [when for when, _, arrived in self.arrived if arrived == body]


@contextlib.contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(receiver.answer({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver, f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class World:
    """The platform at work, and its views."""

    client: Client
    redis: "Redis"
    database_url: str
    receiver: Receiver
    applied_at: datetime

    def by(self, key: str) -> Client:
        return self.client.with_key(key)

    def view(self, view: str, of: str) -> dict[str, Any]:
        """The row of the topic or subscription called so."""
        name = "name" if view == "mq_topics" else "consumer_group"
        with psycopg.connect(self.database_url, row_factory=dict_row) as database:
            [row] = database.execute(f"SELECT * FROM {view} WHERE {name} = %s", (of,)).fetchall()
        return row

    def uid(self, kind: str, name: str) -> UUID:
        with psycopg.connect(self.database_url) as database:
            found = database.execute(
                "SELECT uid FROM mq_resources WHERE kind = %s AND name = %s", (kind, name)
            ).fetchone()
        assert found is not None
        return UUID(str(found[0]))

    def publish(self, topic: str, payload: Any, key: str = MAKER) -> int:
        return self.by(key).publish(topic, {"payload": payload}).status

    def taken(self, subscription: str, wanted: Any, key: str = MAKER) -> dict[str, Any]:
        """The first message with this payload, acknowledged with all that came before it."""

        def look() -> dict[str, Any] | None:
            for message in self.by(key).pull(subscription):
                if message["payload"] == wanted:
                    return message
                self.by(key).settle("ack", subscription, message["ackId"])
            return None

        message = eventually(look, f"{wanted} from {subscription}", 10)
        assert self.by(key).settle("ack", subscription, message["ackId"]) == ["acked"]
        return message

    def dead(self, payload: Any) -> dict[str, Any]:
        """The dead letter with this payload."""

        def look() -> dict[str, Any] | None:
            answer = self.by(MAKER).get(f"{API}/topics/graveyard/messages?max=100")
            return next((it for it in answer.body["messages"] if it["payload"] == payload), None)

        return eventually(look, f"the dead letter of {payload}", 20)["deadLetter"]


def applied(directory: Path, text: str, settings: Settings) -> str:
    """Applies it, and returns the installation's id."""
    directory.mkdir(exist_ok=True)
    (directory / "all.yaml").write_text(text)
    with open_stores(settings) as stores:
        checked = check_manifests(directory, settings)
        _, report = apply_manifests(Request(checked, settings), stores, Execution(author_of("apply")))
        assert not report.failed
        row = stores.database.execute("SELECT installation::text FROM mq_instance").fetchone()
    assert row is not None
    return str(row[0])
