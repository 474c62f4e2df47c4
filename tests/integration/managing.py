"""Changing what is declared over HTTP, as tests do it."""

from typing import Any

from api_platform import Platform
from served import API, Answer, Client


def put(client: Client, path: str, body: Any, **headers: str) -> Answer:
    return client.send("PUT", API + path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def delete(client: Client, path: str, **headers: str) -> Answer:
    return client.send("DELETE", API + path, None, {name.replace("_", "-"): value for name, value in headers.items()})


def made(platform: Platform, client: Client, plural: str, **spec: Any) -> str:
    """The name of a new resource."""
    name = platform.name("made")
    answer = client.post(f"/{plural}", {"name": name, "spec": spec})
    assert answer.status == 201, answer
    return name
