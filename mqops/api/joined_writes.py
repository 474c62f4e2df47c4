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
        self._idle_since = self.loop.time()
        self._idle_check = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle_check.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._idle_check.cancel()  # from now on the connection is another protocol's
        super().handle_websocket_upgrade()

    def write_whole(self, answer: bytes) -> None:
        """Write an answer that is in one piece already."""
        self._joined.write_through(answer)

    def on_response_complete(self) -> None:
        self._joined.flush()  # an answer without a body is complete as well
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # As uvicorn does it, but for the timer that it would arm now and cancel at the next request.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def _close_if_idle(self) -> None:
        """One timer a connection, which looks when it is due how long nothing was asked."""
        left_seconds = self._idle_since + self.timeout_keep_alive - self.loop.time()
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if left_seconds <= 0 and not is_answering:
            self.timeout_keep_alive_handler()
        else:
            self._idle_check = self.loop.call_later(max(left_seconds, 1.0), self._close_if_idle)


class _JoinedWrites:
    """Stands for a transport: holds the head of an answer until what follows it, or its end."""

    __slots__ = ("_held", "_transport", "is_closing", "write_through")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.write_through = transport.write
        self.is_closing = transport.is_closing
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self.write_through(held + data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._held = data
        else:
            self.write_through(data)

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self.write_through(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
