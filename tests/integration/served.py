"""The real application behind real HTTP, in a thread of the test's process; and a plain client for it."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from described import require_described
from waiting import eventually

from mqops.bootstrap.serve import SERVER_OPTIONS, create_service
from mqops.settings import Settings

API = "/api/v1/mq"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; ``body`` is its JSON."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        code: str = self.body["code"]
        return code


@dataclass(frozen=True)
class Client:
    """Speaks to a server as somebody."""

    port: int
    key: str | None = None
    tenant: str | None = None
    host: str = "127.0.0.1"

    def with_key(self, key: str | None, tenant: str | None = None) -> "Client":
        return replace(self, key=key, tenant=tenant)

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        """``body``: bytes and iterators of bytes as they are (those are chunked), anything else as JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        if self.tenant is not None:
            sent["X-Mqops-Tenant"] = self.tenant
        is_raw = body is None or isinstance(body, bytes) or hasattr(body, "__next__")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body if is_raw else json.dumps(body), sent, **options)
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        require_described(method, path, answer.status, answer.raw)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", API + path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def publish(self, topic: str, body: Any, **headers: str) -> Answer:
        return self.post(f"/topics/{topic}/publish", body, **headers)

    def pull(self, subscription: str, most: int = 10, **more: Any) -> list[dict[str, Any]]:
        answer = self.post(f"/subscriptions/{subscription}/pull", {"maxMessages": most, **more})
        assert answer.status == 200, answer
        messages: list[dict[str, Any]] = answer.body["messages"]
        return messages

    def settle(self, word: str, subscription: str, *ack_ids: str, **more: Any) -> list[str]:
        answer = self.post(f"/subscriptions/{subscription}/{word}", {"ackIds": list(ack_ids), **more})
        assert answer.status == 200, answer
        return [result["status"] for result in answer.body["results"]]


@contextlib.contextmanager
def served(database_url: str, redis_url: str, state_dir: Path, installation: str, **more: Any) -> Iterator[Client]:
    """A server of this installation; ``more`` are settings."""
    settings = Settings(database_url=database_url, redis_url=redis_url, state_dir=state_dir, **more)
    config = uvicorn.Config(
        create_service(settings, installation),
        port=0,
        log_config=None,
        timeout_graceful_shutdown=2,
        **SERVER_OPTIONS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), "the server's start")
        assert server.started, "the server did not start"
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
