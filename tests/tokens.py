"""Tokens as an auth service makes them, and the service that publishes its keys."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = "secret-of-the-auth-service-0123456789"


def private_key(algorithm: str) -> Any:
    if algorithm == "RS256":
        return rsa.generate_private_key(65_537, 2_048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def published(algorithm: str, key: Any, kid: str | None) -> dict[str, Any]:
    """The public half of ``key``, as a key set has it."""
    found: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return found if kid is None else {**found, "kid": kid}


def token(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
    """A good one of acme's checkout, but for what ``claims`` say; None leaves one out."""
    usual = {"tenant_id": "acme", "sub": "checkout", "roles": ["publisher"], "exp": time.time() + 60}
    said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers=None if kid is None else {"kid": kid})


@dataclass
class AuthService:
    """Answers a key set, or whatever a test has it answer."""

    url: str = ""
    answer: bytes = b'{"keys": []}'
    status: int = 200
    asked: list[float] = field(default_factory=list)

    def publish(self, *keys: dict[str, Any]) -> None:
        self.answer = json.dumps({"keys": keys}).encode()


@contextlib.contextmanager
def auth_service() -> Iterator[AuthService]:
    service = AuthService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append(time.monotonic())
            self.send_response(service.status)
            self.send_header("Content-Length", str(len(service.answer)))
            self.end_headers()
            self.wfile.write(service.answer)

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
