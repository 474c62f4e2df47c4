"""Publishers, a webhook and a puller that each write down what they saw: what was answered 2xx has to arrive."""

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def call(url: str, body: Any, headers: dict[str, str], timeout: float = 10.0) -> tuple[int, Any]:
    """POST JSON; status and body. 0 and the error's text when there was no answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        return error.code, json.loads(text) if text else None
    except (urllib.error.URLError, OSError, ValueError) as error:
        return 0, str(error)


class _Worker:
    """A thread that repeats a step until it is stopped."""

    def __init__(self, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            time.sleep(self._pause_seconds)

    def step(self) -> None:
        raise AssertionError("a worker has a step")


class Publisher(_Worker):
    """Publishes a message at a time. ``accepted``: ids of those answered 2xx; ``refusals``: codes of the others."""

    def __init__(self, url: str, headers: dict[str, str], pause_seconds: float = 0.005) -> None:
        super().__init__(pause_seconds)
        self._url = url
        self._headers = headers
        self._number = 0
        self.accepted: list[str] = []
        self.refusals: list[str] = []

    def step(self) -> None:
        self._number += 1
        status, body = call(self._url, {"payload": {"number": self._number}}, self._headers)
        if status == 200:
            self.accepted.extend(body["messageIds"])
        else:
            self.refusals.append(body["code"] if isinstance(body, dict) else "NO_ANSWER")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients are killed in mid-request here: that is no news."""


class Webhook:
    """An HTTP server that takes deliveries: the first try of every third message fails, each takes a moment."""

    def __init__(self, delay_seconds: float = 0.02) -> None:
        ledger: list[str] = []
        under_way: list[str] = []
        seen: set[str] = set()
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                message = self.headers["webhook-id"]
                number = json.loads(self.rfile.read(int(self.headers["content-length"])))["number"]
                under_way.append(message)
                time.sleep(delay_seconds)
                with lock:
                    is_refused = number % 3 == 0 and message not in seen
                    seen.add(message)
                    if not is_refused:
                        ledger.append(message)
                self.send_response(500 if is_refused else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.delivered = ledger
        self.under_way = under_way
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Puller(_Worker):
    """Pulls from a queue and acknowledges; ``settled`` has the ids whose ack was answered ``acked``."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(0.05)
        self._url = url
        self._headers = headers
        self.settled: list[str] = []

    def step(self) -> None:
        status, body = call(f"{self._url}/pull", {"maxMessages": 50}, self._headers)
        if status != 200 or not body["messages"]:
            return
        ids = {message["ackId"]: message["id"] for message in body["messages"]}
        status, body = call(f"{self._url}/ack", {"ackIds": list(ids)}, self._headers)
        if status == 200:
            self.settled.extend(ids[result["ackId"]] for result in body["results"] if result["status"] == "acked")
