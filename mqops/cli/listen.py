"""``mqops listen``: receives webhooks, shows them and verifies their signatures."""

import asyncio
import errno
import signal
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp import web

    from mqops.cli.received import Received

LARGEST_BODY_BYTES = 64 * 1_048_576


class Output(StrEnum):
    """How requests are printed."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Answers:
    """How requests are answered."""

    status: int
    fail: int
    """So many are answered 500 first."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="listen")(listen)


def listen(
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Without it, that of MQOPS_LISTEN_URL.")] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="A signing secret, or @FILE with one; may be repeated. Without it, all in the secrets directory."
        ),
    ] = None,
    status: Annotated[int, typer.Option(min=200, max=599, help="What to answer with.")] = 200,
    fail: Annotated[int, typer.Option(min=0, help="Answer so many requests with 500 first, to see retries.")] = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="json: one line a request.")] = Output.TEXT,
) -> None:
    """Receive webhooks, show them and verify their signatures, until Ctrl-C."""
    # Imported here: drivers and servers take half a second that every other command would pay.
    from mqops.bootstrap.control import current_settings

    settings = current_settings()
    given = dict(_given_key(text, number) for number, text in enumerate(secret or [], start=1))
    place = urlsplit(settings.listen_url)
    host = place.hostname if place.hostname in {"127.0.0.1", "::1", "localhost", "0.0.0.0"} else "127.0.0.1"  # noqa: S104
    listener = Listener(Answers(status, fail), output, given, None if given else settings.secrets_dir)
    asyncio.run(listener.run(host or "127.0.0.1", port if port is not None else place.port or 80))


class Listener:
    """Receives and prints. Keys are those ``given`` by name, and those found in ``directory`` at each request."""

    def __init__(self, answers: Answers, output: Output, given: dict[str, bytes], directory: Path | None) -> None:
        from rich.console import Console

        self._answers = answers
        self._output = output
        self._given = given
        self._directory = directory
        self._left_to_fail = answers.fail
        self._console = Console(highlight=False, soft_wrap=True)

    async def run(self, host: str, port: int) -> None:
        """Until SIGINT or SIGTERM. Raises ``ConfigurationError`` when it cannot listen there."""
        from aiohttp import web

        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        application = web.Application(client_max_size=LARGEST_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._receive)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            print(f"listening on http://{host}:{runner.addresses[0][1]}, Ctrl-C ends it", file=sys.stderr, flush=True)
            await stop.wait()
        except OSError as error:
            reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {reason}; stop what listens there, or choose another --port"
            ) from error
        finally:
            await runner.cleanup()

    async def _receive(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        from mqops.cli.received import Received
        from mqops.handlers.signature import verify

        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = self._status()
        verdict = verify(headers, body, self._keys(), time.time())
        self._show(Received(time.time(), request.method, request.path_qs, headers, body, verdict, status))
        return web.Response(status=status)

    def _status(self) -> int:
        if self._left_to_fail > 0:
            self._left_to_fail -= 1
            return 500
        return self._answers.status

    def _keys(self) -> dict[str, bytes]:
        from mqops.cli.received import keys_in

        return self._given if self._directory is None else keys_in(self._directory)

    def _show(self, received: "Received") -> None:
        from mqops.cli.received import as_line, as_text

        if self._output is Output.JSON:
            print(as_line(received), flush=True)
            return
        for line in as_text(received):
            self._console.print(line)


def _given_key(text: str, number: int) -> tuple[str, bytes]:
    """Name and key of a ``--secret``. Raises ``ConfigurationError``, which does not quote a secret."""
    from mqops.handlers.signature import signing_key

    is_file = text.startswith("@")
    name = text if is_file else f"secret {number}"
    try:
        return name, signing_key(Path(text[1:]).read_text("utf-8").rstrip("\r\n") if is_file else text)
    except OSError as error:
        raise ConfigurationError(f"--secret {name}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"--secret {name}: {error}") from error
