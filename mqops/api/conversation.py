"""``GET …/stream`` as a WebSocket (RFC 6455): messages one way, what became of them the other, in JSON texts.

From the server: ``{"type": "message", "message": …}``, ``{"type": "settled", "results": […]}`` for each text of the
client's, in order; ``{"type": "error", …}`` with an error's body. From the client: ``{"type": "ack", "ackIds": […]}``;
as their endpoints have them, ``nack`` with ``delayMs?`` and ``extend`` with ``leaseMs?``. An error that ends the
conversation is followed by a close frame, whose code is 4000 and the HTTP status; others answer a text that was wrong.
"""

import logging
from collections.abc import Callable
from typing import Any

import falcon
import msgspec
from falcon.asgi import WebSocket

from mqops.access import Caller
from mqops.api.consume import Consumer
from mqops.api.edge import decode
from mqops.api.errors import body_of
from mqops.api.pull import handed_out
from mqops.api.puller import Pulled, Puller
from mqops.api.settle import ExtendBody, NackBody, SettleBody, Settling
from mqops.api.window import Window
from mqops.catalog import SubscriptionEntry
from mqops.errors import MqopsError, SerializationFailed

log = logging.getLogger(__name__)


class AckText(SettleBody, tag="ack", tag_field="type"):
    """These are done."""


class NackText(NackBody, tag="nack", tag_field="type"):
    """These failed."""


class ExtendText(ExtendBody, tag="extend", tag_field="type"):
    """These take longer."""


_decoder = msgspec.json.Decoder(AckText | NackText | ExtendText)


class Conversation:
    """One client's, accepted. ``find`` gives the subscription as it is now, and raises what refuses the client."""

    def __init__(self, socket: WebSocket, settling: Settling, find: Callable[[], SubscriptionEntry]) -> None:
        self._socket = socket
        self._settling = settling
        self._find = find
        self.window: Window

    async def listen(self) -> None:
        """Settle what the client says, until it is gone."""
        while True:
            try:
                said = await self._hear()
                results = await self._settling.settle(self._find(), said)
            except falcon.WebSocketDisconnected:
                return
            except MqopsError as error:
                answer: Any = {"type": "error", **body_of(error)}
            except Exception:
                log.exception("a conversation has failed")
                return
            else:
                answer = {"type": "settled", "results": results}
                self.window.something_settled.set()
            try:
                await self._say(answer)
            except falcon.WebSocketDisconnected:
                return

    async def speak(self, caller: Caller, consumer: Consumer, puller: Puller) -> None:
        """Hand over what comes, until it is over. Raises as ``Window.take``."""
        while (pulled := await self.window.take(consumer)).deliveries:
            await self._hand_over(caller, pulled, puller)
        await self._socket.close()

    async def _hand_over(self, caller: Caller, pulled: Pulled, puller: Puller) -> None:
        sent = 0
        try:
            for message in handed_out(caller, pulled):
                await self._say({"type": "message", "message": message})
                sent += 1
        except falcon.WebSocketDisconnected:
            await puller.give_back(pulled.subscription, pulled.deliveries[sent:])

    async def _hear(self) -> SettleBody:
        try:
            text = await self._socket.receive_text()
        except falcon.PayloadTypeError as error:
            raise SerializationFailed("what is said here is said in texts") from error
        said: SettleBody = decode(_decoder, text.encode())
        return said

    async def _say(self, what: Any) -> None:
        await self._socket.send_text(msgspec.json.encode(what).decode())
