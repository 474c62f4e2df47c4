"""uvicorn's HTTP protocol, writing an answer in one piece.

uvicorn writes the head of an answer and its body one after the other, each a system call and a packet. Answers here are
small and their body follows at once, so the head waits for it: measured on publishing, that is a fifth of all the time
that goes into HTTP.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWritesProtocol(HttpToolsProtocol):
    """HTTP/1.1 over a transport that joins writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_JoinedWrites(transport))  # type: ignore[arg-type] # it stands for one


class _JoinedWrites:
    """Stands for a transport: holds the head of an answer until the body comes, or this turn of the loop is over."""

    __slots__ = ("_call_soon", "_held", "_transport", "_write")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._write = transport.write
        self._call_soon = asyncio.get_running_loop().call_soon
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held + data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._held = data
            self._call_soon(self._flush)
        else:
            self._write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
