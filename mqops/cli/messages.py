"""``mqops publish``, ``mqops pull`` and ``mqops tail``: messages by hand, over the data plane's HTTP API."""

import json
import sys
import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mqops.errors import BrokerNotAvailable, ConfigurationError, MqopsError

if TYPE_CHECKING:
    from mqops.cli.remote import Remote

TAIL_SECONDS = 0.5
"""Between two looks."""


class Output(StrEnum):
    """How messages are printed."""

    TEXT = "text"
    JSON = "json"


class Start(StrEnum):
    """Where `mqops tail` begins."""

    LATEST = "latest"
    EARLIEST = "earliest"


_Tenant = Annotated[
    str | None, typer.Option(help="Act in this tenant; for principals of the tenant system. Or write TENANT/NAME.")
]
_Server = Annotated[str | None, typer.Option(help="Without it, MQOPS_URL or the `mqops up` of this directory.")]
_Credential = Annotated[str | None, typer.Option(help="A key. Without it, MQOPS_CREDENTIAL or that of `mqops up`.")]
_OutputOption = Annotated[Output, typer.Option("--output", "-o", help="json: one line a message.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(name="publish")(publish)
    app.command(name="pull")(pull)
    app.command(name="tail")(tail)


def publish(
    topic: Annotated[str, typer.Argument(help="The topic's name or id, or TENANT/NAME.")],
    data: Annotated[str, typer.Option("--data", "-d", help="JSON; - reads standard input, @FILE a file.")] = "-",
    key: Annotated[str | None, typer.Option(help="Messages of one key stay in order, in one partition.")] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="NAME=VALUE; may be repeated.")] = None,
    queue: Annotated[bool, typer.Option("--queue", help="TOPIC is a queue.")] = False,
    tenant: _Tenant = None,
    server: _Server = None,
    credential: _Credential = None,
    output: _OutputOption = Output.TEXT,
) -> None:
    """Publish one message."""
    import msgspec

    name, remote = _remote(topic, tenant, server, credential)
    message: dict[str, Any] = {"payload": msgspec.Raw(_payload(data))}
    if key is not None:
        message["key"] = key
    if header:
        message["headers"] = dict(_header(text) for text in header)
    answer = remote.call("POST", remote.path("queues" if queue else "topics", name, "publish"), message)
    if output is Output.JSON:
        _print_json(answer)
        return
    place = answer["partitions"][0]
    print(f"published {answer['messageIds'][0]} to partition {place['partition']}, offset {place['offset']}")


def pull(
    subscription: Annotated[str | None, typer.Argument(help="Its name or id, or TENANT/NAME.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Pull from this queue instead.")] = None,
    most: Annotated[int, typer.Option("--max", min=1, max=100, help="How many at most.")] = 10,
    ack: Annotated[bool, typer.Option("--ack", help="Acknowledge what was printed; otherwise it comes again.")] = False,
    tenant: _Tenant = None,
    server: _Server = None,
    credential: _Credential = None,
    output: _OutputOption = Output.TEXT,
) -> None:
    """Take messages of a subscription or a queue, and print them."""
    if (subscription is None) == (queue is None):
        raise ConfigurationError("name a subscription, or a queue with --queue")
    family, named = ("queues", queue) if queue is not None else ("subscriptions", subscription)
    assert named is not None
    name, remote = _remote(named, tenant, server, credential)
    messages = remote.call("POST", remote.path(family, name, "pull"), {"maxMessages": most})["messages"]
    for message in messages:
        _print_message(message, output)
    if not messages and output is Output.TEXT:
        print("nothing to pull", file=sys.stderr)
    if not messages or not ack:
        return
    sys.stdout.flush()
    ack_ids = [message["ackId"] for message in messages]
    results = remote.call("POST", remote.path(family, name, "ack"), {"ackIds": ack_ids})["results"]
    lost = sum(result["status"] != "acked" for result in results)
    if lost:
        raise MqopsError(f"{lost} of {len(results)} messages could not be acknowledged in time: they come again")


def tail(
    topic: Annotated[str, typer.Argument(help="The topic's name or id, or TENANT/NAME.")],
    start: Annotated[Start, typer.Option("--from", help="latest: only what comes from now on.")] = Start.LATEST,
    tenant: _Tenant = None,
    server: _Server = None,
    credential: _Credential = None,
    output: _OutputOption = Output.TEXT,
) -> None:
    """Print a topic's messages as they arrive, until Ctrl-C. Takes none of them, and needs no subscription."""
    name, remote = _remote(topic, tenant, server, credential)
    with suppress(KeyboardInterrupt):
        _follow(remote, remote.path("topics", name, "messages"), "latest" if start is Start.LATEST else "", output)


def _follow(remote: "Remote", path: str, cursor: str, output: Output) -> None:
    is_away = False
    while True:
        try:
            answer = remote.call("GET", f"{path}?max=100&after={cursor}")
        except BrokerNotAvailable as error:
            # At the start it is a mistake to be told; later it is an outage to be waited out.
            if cursor in ("", "latest"):
                raise
            if not is_away:
                print(f"waiting: {error.message}", file=sys.stderr, flush=True)
            is_away = True
            time.sleep(1.0)
            continue
        is_away = False
        cursor = answer["cursor"]
        for message in answer["messages"]:
            _print_message(message, output)
        if not answer["messages"]:
            time.sleep(TAIL_SECONDS)


def _remote(name: str, tenant: str | None, server: str | None, credential: str | None) -> tuple[str, "Remote"]:
    # Imported here: what a command does not use must not slow down the others.
    from mqops.cli.remote import find_remote, split_tenant

    own_name, owner = split_tenant(name, tenant)
    return own_name, find_remote(server, credential, owner)


def _payload(data: str) -> bytes:
    """The JSON text that ``--data`` stands for. Raises ``ConfigurationError`` for what is not JSON."""
    import msgspec

    try:
        if data == "-":
            text = sys.stdin.buffer.read()
        else:
            text = Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
        msgspec.json.decode(text)
        return text.strip()
    except OSError as error:
        raise ConfigurationError(f"--data {data}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--data is not JSON ({error}); a text needs quotes: --data '\"hello\"'") from error


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigurationError(f"--header {text!r}: write it like region=eu")
    return name, value


def _print_message(message: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        _print_json(message)
        return
    place = f"{message['topic']}/{message['partition']}@{message['offset']}"
    words = [message["publishedAt"], place, message["id"]]
    if "key" in message:
        words.append(f"key={message['key']}")
    words += [f"{name}={value}" for name, value in message["headers"].items()]
    if message.get("attempt", 1) > 1:
        words.append(f"attempt={message['attempt']}")
    if "deadLetter" in message:
        letter = message["deadLetter"]
        words.append(f"dead letter of {letter['topic']} for {letter['subscription']}: {letter['reason']}")
    print(_printable(" ".join(words)))
    payload = json.dumps(message["payload"], ensure_ascii=False, separators=(",", ":"))
    print("  " + _printable(payload), flush=True)


def _print_json(value: Any) -> None:
    print(json.dumps(value, separators=(",", ":")), flush=True)


def _printable(text: str) -> str:
    """``text`` without what a terminal would take for commands: keys and headers are a publisher's."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
