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
LONGEST_WAIT_MS = 30_000
"""Of one request."""
ANSWER_SECONDS = 30.0
"""For an answer, beyond what was to be waited for."""


class Output(StrEnum):
    """How messages are printed."""

    TEXT = "text"
    JSON = "json"


class Start(StrEnum):
    """Where `mqops tail` begins."""

    LATEST = "latest"
    EARLIEST = "earliest"


TenantOption = Annotated[
    str | None, typer.Option(help="Act in this tenant; for principals of the tenant system. Or write TENANT/NAME.")
]
ServerOption = Annotated[str | None, typer.Option(help="Without it, MQOPS_URL or the `mqops up` of this directory.")]
CredentialOption = Annotated[
    str | None, typer.Option(help="A key. Without it, MQOPS_CREDENTIAL or that of `mqops up`.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="json: one line a message.")]


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
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="DURATION", help="Not before, like 30s or 2h.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="RFC 3339: 2026-12-24T18:00:00+01:00")] = None,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Publish one message."""
    import msgspec

    name, remote = _remote(topic, tenant, server, credential)
    message: dict[str, Any] = {"payload": msgspec.Raw(payload_of(data))}
    if key is not None:
        message["key"] = key
    if header:
        message["headers"] = dict(header_of(text) for text in header)
    if delay is None and at is None:
        answer = remote.call("POST", remote.path("queues" if queue else "topics", name, "publish"), message)
    else:
        body = {"queue" if queue else "topic": name, **message, **when_of(delay, at)}
        answer = remote.call("POST", remote.path("publish", "delayed" if at is None else "scheduled"), body)
    if output is Output.JSON:
        print_json(answer)
        return
    place = answer["partitions"][0]
    if "scheduledAt" in answer:
        print(f"{answer['messageIds'][0]} is due at {answer['scheduledAt'][0]} in partition {place['partition']}")
        return
    print(f"published {answer['messageIds'][0]} to partition {place['partition']}, offset {place['offset']}")


def pull(
    subscription: Annotated[str | None, typer.Argument(help="Its name or id, or TENANT/NAME.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Pull from this queue instead.")] = None,
    most: Annotated[int, typer.Option("--max", min=1, max=100, help="How many at most.")] = 10,
    wait: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Wait for the first message so long: 30s, 10m. Without it, not at all."),
    ] = "0s",
    ack: Annotated[bool, typer.Option("--ack", help="Acknowledge what was printed; otherwise it comes again.")] = False,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take messages of a subscription or a queue, and print them."""
    # Imported here: what a command does not use must not slow down the others.
    from mqops.cli.named import seconds_of

    wait_seconds = seconds_of("--wait", wait)
    if (subscription is None) == (queue is None):
        raise ConfigurationError("name a subscription, or a queue with --queue")
    family, named = ("queues", queue) if queue is not None else ("subscriptions", subscription)
    assert named is not None
    name, remote = _remote(named, tenant, server, credential)
    messages = _pulled(remote, remote.path(family, name, "pull"), most, wait_seconds)
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


def _pulled(remote: "Remote", path: str, most: int, wait_seconds: float) -> list[dict[str, Any]]:
    """What a pull brings, or one of several: the server's patience may be shorter than ours."""
    deadline = time.monotonic() + wait_seconds
    while True:
        left_ms = max(0, round((deadline - time.monotonic()) * 1000))
        asked_ms = min(left_ms, LONGEST_WAIT_MS)
        body = {"maxMessages": most, **({"waitMs": asked_ms} if asked_ms else {})}
        messages: list[dict[str, Any]] = remote.call("POST", path, body, asked_ms / 1000 + ANSWER_SECONDS)["messages"]
        if messages or asked_ms == left_ms:
            return messages


def tail(
    topic: Annotated[str, typer.Argument(help="The topic's name or id, or TENANT/NAME.")],
    start: Annotated[Start, typer.Option("--from", help="latest: only what comes from now on.")] = Start.LATEST,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
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


def message_path(
    topic: str, tenant: str | None, server: str | None, credential: str | None, *parts: str
) -> tuple["Remote", str]:
    """The server, and the path of what waits in a topic or queue; ``parts`` are its plural and maybe a message's id."""
    name, remote = _remote(topic, tenant, server, credential)
    plural, *message = parts
    return remote, remote.path(plural, name, "scheduled", *message)


def when_of(delay: str | None, at: str | None) -> dict[str, Any]:
    """The fields that say when. Raises ``ConfigurationError`` unless exactly one is given, and for no duration."""
    # Imported here: what a command does not use must not slow down the others.
    from mqops.durations import parse_duration

    if (delay is None) == (at is None):
        raise ConfigurationError("say when with --delay or with --at")
    if delay is None:
        return {"scheduledAt": at}
    try:
        return {"delayMs": parse_duration(delay)}
    except ValueError as error:
        raise ConfigurationError(f"--delay {delay}: {error}") from error


def payload_of(data: str) -> bytes:
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


def header_of(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigurationError(f"--header {text!r}: write it like region=eu")
    return name, value


def _print_message(message: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        print_json(message)
        return
    place = f"{message['topic']}/{message['partition']}@{message['offset']}"
    words = [message["publishedAt"], place, message["id"], *_key_and_headers(message)]
    if message.get("attempt", 1) > 1:
        words.append(f"attempt={message['attempt']}")
    if "deadLetter" in message:
        letter = message["deadLetter"]
        words.append(f"dead letter of {letter['topic']} for {letter['subscription']}: {letter['reason']}")
    _print_words(words, message["payload"])


def print_scheduled(message: dict[str, Any], output: Output) -> None:
    """A message that waits for its time."""
    if output is Output.JSON:
        print_json(message)
        return
    place = f"{message['topic']}/{message['partition']}"
    _print_words([message["scheduledAt"], place, message["id"], *_key_and_headers(message)], message["payload"])


def _key_and_headers(message: dict[str, Any]) -> list[str]:
    key = [f"key={message['key']}"] if "key" in message else []
    return [*key, *(f"{name}={value}" for name, value in message["headers"].items())]


def _print_words(words: list[str], payload: Any) -> None:
    print(printable(" ".join(words)))
    print("  " + printable(json.dumps(payload, ensure_ascii=False, separators=(",", ":"))), flush=True)


def print_json(value: Any) -> None:
    """As one line."""
    print(json.dumps(value, separators=(",", ":")), flush=True)


def printable(text: str) -> str:
    """``text`` without what a terminal would take for commands: keys and headers are a publisher's."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
