"""A webhook that ``mqops listen`` received, in words: for people with colours, for programs as a line of JSON."""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.highlighter import JSONHighlighter
from rich.text import Text

from mqops.handlers.signature import NotVerified, Unsigned, Verdict, Verified, signing_key

SHOWN_CHARACTERS = 16_384
"""Of a body; a terminal is no place for more."""

_TOLD_OTHERWISE = frozenset(
    {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "mqops-attempt",
    }
)
"""Headers that text output does not list."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request, and what was made of it."""

    at: float
    """Seconds since 1970."""
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    verdict: Verdict
    status: int
    """What it was answered with."""


def describe(verdict: Verdict) -> str:
    """The verdict on the signature, in words."""
    match verdict:
        case Verified(by):
            return f"signature ok ({by})"
        case Unsigned():
            return "unsigned"
        case NotVerified(reason):
            return reason


def as_line(received: Received) -> str:
    """One line of JSON. A body that is not UTF-8 is in ``bodyBase64``, not in ``body``."""
    record = {
        "time": received.at,
        "method": received.method,
        "path": received.path,
        "id": received.headers.get("webhook-id"),
        "attempt": received.headers.get("mqops-attempt"),
        "verified": isinstance(received.verdict, Verified),
        "verdict": describe(received.verdict),
        "status": received.status,
        "headers": dict(received.headers),
    }
    try:
        record["body"] = received.body.decode()
    except UnicodeDecodeError:
        record["bodyBase64"] = base64.b64encode(received.body).decode("ascii")
    return json.dumps(record)


def as_text(received: Received) -> Iterator[Text]:
    """Lines for a terminal."""
    clock = time.strftime("%H:%M:%S", time.localtime(received.at))
    attempt = received.headers.get("mqops-attempt")
    title = Text.assemble(
        (clock, "dim"),
        "  ",
        (_printable(f"{received.method} {received.path}"), "bold"),
        f"  answered {received.status}",
    )
    if attempt is not None:
        title.append(f"  attempt {_printable(attempt)}")
    yield title
    yield Text("  ").append_text(_verdict(received))
    for name in sorted(received.headers.keys() - _TOLD_OTHERWISE):
        yield Text.assemble((f"  {_printable(name)}: ", "dim"), _printable(received.headers[name]))
    yield from _body(received.body)
    yield Text("")


def _verdict(received: Received) -> Text:
    colour = {Verified: "green", Unsigned: "yellow", NotVerified: "red"}[type(received.verdict)]
    message_id = received.headers.get("webhook-id")
    words = Text(_printable(describe(received.verdict)), style=colour)
    return words if message_id is None else Text.assemble("id ", _printable(message_id), "  ", words)


def _body(body: bytes) -> Iterator[Text]:
    if not body:
        yield Text("  (no body)", style="dim")
        return
    if len(body) <= SHOWN_CHARACTERS:
        try:
            pretty = Text(_printable(json.dumps(json.loads(body), indent=2, ensure_ascii=False), keep="\n"))
            JSONHighlighter().highlight(pretty)
            yield pretty
            return
        except (ValueError, RecursionError):
            pass
    yield Text(_printable(body[:SHOWN_CHARACTERS].decode("utf-8", "backslashreplace"), keep="\n\t"))
    if len(body) > SHOWN_CHARACTERS:
        yield Text(f"  … {len(body) - SHOWN_CHARACTERS} bytes more", style="dim")


def _printable(text: str, keep: str = "") -> str:
    """``text`` without anything that a terminal would obey instead of show: who sends it may be a stranger."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: match[0] if match[0] in keep else _escape(match), text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def keys_in(directory: Path) -> dict[str, bytes]:
    """Every signing key in the tenants' folders of a secrets directory, as ``tenant/name``. Other files are passed by:
    secrets of other kinds live there too."""
    keys = {}
    for path in sorted(directory.glob("*/*")):
        try:
            if path.is_file():
                keys[f"{path.parent.name}/{path.name}"] = signing_key(path.read_text("utf-8").rstrip("\r\n"))
        except (OSError, ValueError):
            continue
    return keys
