"""uvicorn's HTTP protocol, writing an answer in one piece.

uvicorn writes the head of an answer and its body one after the other, each a system call and a packet. Answers here are
small and their body follows at once, so the head waits for it: measured on publishing, that is a fifth of all the time
that goes into HTTP. (An answer that streams would have its head wait for its first piece.)
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWritesProtocol(HttpToolsProtocol):
    """HTTP/1.1 over a transport that joins writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._joined = _JoinedWrites(transport)
        super().connection_made(self._joined)  # type: ignore[arg-type] # it stands for one

    def on_response_complete(self) -> None:
        self._joined.flush()  # an answer without a body is complete as well
        super().on_response_complete()


class _JoinedWrites:
    """Stands for a transport: holds the head of an answer until what follows it, or its end."""

    __slots__ = ("_held", "_transport", "_write", "is_closing")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._write = transport.write
        self.is_closing = transport.is_closing
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held + data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._held = data
        else:
            self._write(data)

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
