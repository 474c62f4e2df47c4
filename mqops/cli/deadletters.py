"""`mqops deadletters`: what failed for good is listed, shown, redriven and discarded, over the HTTP API."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

import typer

from mqops.errors import ConfigurationError, MqopsError

if TYPE_CHECKING:
    from mqops.cli.long_request import LongRequest, Worked
    from mqops.cli.remote import Remote

_AT_ONCE = 1_000
"""How many one request takes."""

Name = Annotated[str, typer.Argument(metavar="[TENANT/]NAME", help="The subscription or queue that failed.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]", help="These.")]
IsTopic = Annotated[bool, typer.Option("--topic", help="NAME is a dead-letter topic: of every subscription.")]
Tenant = Annotated[str | None, typer.Option(help="Act in this tenant; for principals of the tenant system.")]
Server = Annotated[str | None, typer.Option(help="Without it, MQOPS_URL or the `mqops up` of this directory.")]
Credential = Annotated[str | None, typer.Option(help="A key. Without it, MQOPS_CREDENTIAL or that of `mqops up`.")]
Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")]

Reason = Annotated[str | None, typer.Option(help="Only what failed for this, like retries_exhausted.")]
Original = Annotated[str | None, typer.Option("--original-topic", help="Only what comes from this topic or queue.")]
Failed = Annotated[str | None, typer.Option("--subscription", help="With --topic: only what failed for this one.")]
Key = Annotated[str | None, typer.Option(help="Only messages with this key.")]
Since = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Only what failed then or later: RFC 3339, or like 2h ago as 2h.")
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Only what failed before.")]

All = Annotated[bool, typer.Option("--all", help="All there are.")]
Most = Annotated[int | None, typer.Option("--max", min=1, help="How many at most.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell how many, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    commands = typer.Typer(
        name="deadletters", help="List, show, redrive and discard what failed for good.", no_args_is_help=True
    )
    commands.command("list")(list_letters)
    commands.command("show")(show)
    commands.command("redrive")(redrive)
    commands.command("discard")(discard)
    app.add_typer(commands)


def list_letters(
    name: Name,
    is_topic: IsTopic = False,
    reason: Reason = None,
    original_topic: Original = None,
    subscription: Failed = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    most: Annotated[int, typer.Option("--max", min=1, help="How many at most.")] = 100,
    tenant: Tenant = None,
    server: Server = None,
    credential: Credential = None,
    output: Output = "text",
) -> None:
    """List dead letters, the oldest first. As JSON, one line each, with everything that is known of it."""
    from mqops.cli.letters_shown import print_letters

    remote, path = _of(name, is_topic, tenant, (server, credential))
    wanted = _filter(reason, original_topic, subscription, key, since, until)
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    is_complete = False
    while len(found) < most and not is_complete:
        query = {**wanted, "limit": min(most - len(found), 100), **({} if cursor is None else {"cursor": cursor})}
        answer = remote.call("GET", f"{path}?{urlencode(query)}")
        found += answer["items"]
        cursor = answer["cursor"]
        is_complete = cursor is None
    print_letters(found, output, is_complete=is_complete)


def show(
    name: Name,
    id: Annotated[str, typer.Argument(help="Of the dead letter.")],
    is_topic: IsTopic = False,
    tenant: Tenant = None,
    server: Server = None,
    credential: Credential = None,
    output: Output = "text",
) -> None:
    """Show a dead letter: where it comes from, why and when it failed, its headers and its payload."""
    from urllib.parse import quote

    from mqops.cli.letters_shown import print_letter

    remote, path = _of(name, is_topic, tenant, (server, credential))
    print_letter(remote.call("GET", f"{path}/{quote(id, safe='')}"), output)


def redrive(
    name: Name,
    ids: Ids = None,
    is_topic: IsTopic = False,
    is_all: All = False,
    reason: Reason = None,
    original_topic: Original = None,
    subscription: Failed = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    most: Most = None,
    rate: Annotated[int | None, typer.Option(min=1, max=10_000, help="How many a second at most.")] = None,
    to_topic: Annotated[
        str | None, typer.Option("--to-topic", help="Publish to this topic of the tenant instead.")
    ] = None,
    republish: Annotated[
        bool, typer.Option("--republish", help="Publish to the topic it comes from, for all its subscriptions.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Of a single one: this payload. JSON; - standard input, @FILE.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="Of a single one: these headers, NAME=VALUE.")
    ] = None,
    is_dry: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    server: Server = None,
    credential: Credential = None,
    output: Output = "text",
) -> None:
    """Have dead letters handed out again to the subscription that failed, and to no other.

    Named by ID, by what they have in common, or --all. The same command finishes what broke off.
    """
    body: dict[str, Any] = {"toTopic": to_topic, "republish": republish, "ratePerSecond": rate}
    body |= _edited(data, header)
    wanted = _filter(reason, original_topic, subscription, key, since, until)
    request = _request(_of(name, is_topic, tenant, (server, credential)), "redrive", _chosen(ids, wanted, is_all), body)
    worked = _acted(request, most, is_dry=is_dry, yes=yes or bool(ids))
    _tell(worked, request.done, output, is_dry=is_dry)


def discard(
    name: Name,
    ids: Ids = None,
    is_topic: IsTopic = False,
    is_all: All = False,
    reason: Reason = None,
    original_topic: Original = None,
    subscription: Failed = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    most: Most = None,
    is_dry: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    server: Server = None,
    credential: Credential = None,
    output: Output = "text",
) -> None:
    """Remove dead letters for good: named by ID, by what they have in common, or --all."""
    wanted = _filter(reason, original_topic, subscription, key, since, until)
    request = _request(_of(name, is_topic, tenant, (server, credential)), "discard", _chosen(ids, wanted, is_all), {})
    worked = _acted(request, most, is_dry=is_dry, yes=yes)
    _tell(worked, request.done, output, is_dry=is_dry)


def _of(name: str, is_topic: bool, tenant: str | None, whom: tuple[str | None, str | None]) -> tuple["Remote", str]:
    """The server, and the path of the dead letters there."""
    from mqops.cli.remote import find_remote, split_tenant

    own_name, owner = split_tenant(name, tenant)
    remote = find_remote(*whom, owner)
    return remote, remote.path("topics" if is_topic else "subscriptions", own_name, "deadletters")


def _filter(*values: str | None) -> dict[str, str]:
    names = ("reason", "originalTopic", "subscription", "key", "since", "until")
    given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return {name: _moment(name, value) if name in ("since", "until") else value for name, value in given.items()}


def _moment(option: str, text: str) -> str:
    """A time as RFC 3339; a duration is so long ago."""
    from mqops.cli.named import seconds_of

    if "T" in text:
        return text
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_of(f"--{option}", text)))


def _chosen(ids: list[str] | None, wanted: dict[str, str], is_all: bool) -> dict[str, Any]:
    """Raises ``ConfigurationError`` unless it is said in one way which are meant."""
    if bool(ids) + bool(wanted) + is_all != 1:
        raise ConfigurationError("say which are meant: their ids, what they have in common (like --reason), or --all")
    if ids:
        return {"ids": ids}
    return {"filter": wanted} if wanted else {"all": True}


def _edited(data: str | None, header: list[str] | None) -> dict[str, Any]:
    import msgspec

    from mqops.cli.messages import header_of, payload_of

    edited: dict[str, Any] = {} if data is None else {"payload": msgspec.Raw(payload_of(data))}
    if header:
        edited["headers"] = dict(header_of(text) for text in header)
    return edited


def _request(at: tuple["Remote", str], verb: str, chosen: dict[str, Any], more: dict[str, Any]) -> "LongRequest":
    from mqops.cli.long_request import LongRequest

    remote, path = at
    body = {**chosen, **{name: value for name, value in more.items() if value not in (None, False)}}
    return LongRequest(remote, f"{path}/{verb}", body, "redriven" if verb == "redrive" else "discarded", _AT_ONCE)


def _acted(request: "LongRequest", most: int | None, *, is_dry: bool, yes: bool) -> "Worked":
    """Raises ``ConfigurationError`` when it is not approved."""
    from dataclasses import replace

    from mqops.cli.approval import require_yes

    dry = replace(request, body={**request.body, "dryRun": True})
    if is_dry:
        return dry.work_off(most)
    if not yes:
        count = dry.work_off(most).count
        if count:
            letters = "dead letter is" if count == 1 else "dead letters are"
            require_yes(f"{count:,} {letters} to be {request.done}.", "this", "--yes")
    return request.work_off(most)


def _tell(worked: "Worked", done: str, output: Literal["text", "json"], *, is_dry: bool) -> None:
    """Raises ``MqopsError`` when some stay where they are, though they were meant."""
    from mqops.cli.messages import print_json

    if output == "json":
        print_json({"dryRun": is_dry, done: worked.count, "skipped": worked.skipped})
    else:
        letters = "dead letter" if worked.count == 1 else "dead letters"
        print(f"{worked.count:,} {letters} {'would be ' if is_dry else ''}{done}", flush=True)
    if worked.skipped:
        first = worked.skipped[0]
        raise MqopsError(f"{len(worked.skipped):,} skipped, the first ({first['id']}): {first['message']}")
