"""`mqops credentials`: keys for principals. A key is shown once; manifests hold its digest."""

import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

import typer

from mqops.errors import ConfigurationError


class RoleName(StrEnum):
    """The model's roles, in the form that the command line can repeat."""

    PUBLISHER = "publisher"
    CONSUMER = "consumer"
    VIEWER = "viewer"
    PLANNER = "planner"
    DEPLOYER = "deployer"
    ADMIN = "admin"


_WITHOUT_ROLES = (RoleName.PUBLISHER, RoleName.CONSUMER)


KEY_PREFIX = "mqk_"
"""Lets a leaked key be recognised for what it is."""


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    commands = typer.Typer(name="credentials", help="Make keys for principals.", no_args_is_help=True)
    commands.callback()(_family)
    commands.command("create")(create)
    app.add_typer(commands)


def _family() -> None:
    """Make keys for principals."""


def create(
    tenant: Annotated[str, typer.Argument(help="The tenant that the principal belongs to.")],
    principal: Annotated[str, typer.Argument(help="Who signs in: the name that topics list as producer or consumer.")],
    role: Annotated[
        list[RoleName] | None,
        typer.Option("--role", help="What the key may be used for; repeatable. Without it, publisher and consumer."),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", help="A topic or queue that the key is limited to, or a pattern: audit-*; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The Credential's name. Without it, PRINCIPAL.")] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", metavar="DURATION", help="When it stops working, like 90d.")
    ] = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Make a key, print it once, and print the manifest to commit.

    The key goes to stderr and the manifest to stdout: `mqops credentials create acme checkout > checkout.yaml`.
    """
    import yaml

    key = KEY_PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    entry = {"sha256": digest, **({"expiresAt": _expiry(expires_in)} if expires_in else {})}
    manifest: dict[str, object] = {
        "apiVersion": "mqops/v1",
        "kind": "Credential",
        "metadata": {"tenant": tenant, "name": name or principal},
        "spec": {
            "principal": principal,
            "roles": [each.value for each in dict.fromkeys(role or _WITHOUT_ROLES)],
            **({"topics": list(dict.fromkeys(topic))} if topic else {}),
            "keys": [entry],
        },
    }
    text = yaml.safe_dump(manifest, sort_keys=False)
    require_valid(text)
    if output == "json":
        typer.echo(json.dumps({"key": key, "sha256": digest, "manifest": text}, indent=2))
        return
    typer.echo(f"The key, shown this once and kept nowhere:\n\n  {key}\n", err=True)
    typer.echo("Commit the manifest among the tenant's; it holds only the key's SHA-256:\n", err=True)
    typer.echo(text, nl=False)


def _expiry(text: str) -> str:
    from mqops.durations import parse_duration

    try:
        moment = datetime.now(UTC) + timedelta(milliseconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint="--expires-in") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def require_valid(manifest: str) -> None:
    """Raises ``ConfigurationError`` for names that no manifest could have."""
    from reconciler.manifests.load import load
    from reconciler.manifests.validate import Rejected, validate

    [document] = load("", manifest.encode()).documents
    result = validate(document, {})
    if isinstance(result, Rejected):
        first = result.problems[0]
        raise ConfigurationError(f"{first.path}: {first.message}")
