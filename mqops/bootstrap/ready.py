"""What `mqops up` says when it is ready: a line to paste that publishes, and where to watch the message arrive."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mqops.embedded.directory import StateDirectory
from mqops.embedded.port import reachable_host
from mqops.settings import Settings
from reconciler.state import Resource

_FAVOURITE = ("acme", "orders")
_MESSAGE: Mapping[str, Any] = {
    "key": "customer-7",
    "payload": {"id": "order-1", "total": 150.0},
    "headers": {"region": "eu"},
}


@dataclass(frozen=True, slots=True)
class Example:
    """A topic to publish to, and a queue of the same tenant to pull from."""

    tenant: str
    topic: str
    queue: str | None = None


def choose_example(resources: Iterable[Resource]) -> Example | None:
    """acme's orders where it is declared, otherwise the first topic that a webhook reads, otherwise the first."""
    declared = [resource for resource in resources if resource.implied_by is None]
    topics = [(each.identity.tenant, each.identity.name) for each in declared if each.identity.kind == "Topic"]
    if not topics:
        return None
    subscriptions = [each for each in declared if each.identity.kind == "Subscription"]
    pushed = {(each.identity.tenant, each.spec["topic"]) for each in subscriptions if each.spec.get("handler")}
    tenant, topic = min(topics, key=lambda place: (place != _FAVOURITE, place not in pushed))
    queues = [
        each.identity.name for each in declared if each.identity.kind == "Queue" and each.identity.tenant == tenant
    ]
    return Example(tenant, topic, queues[0] if queues else None)


def ready_text(settings: Settings, directory: StateDirectory, resources: Iterable[Resource]) -> str:
    """The whole block."""
    url = f"http://{reachable_host(settings.host)}:{settings.port}"
    example = choose_example(resources)
    command = _command()
    lines = ["", f"mqops is ready: {url}", ""]
    if example is not None:
        is_development = settings.development_credential is not None
        publish = _publish_line(url, example, _token(directory.credential if is_development else None))
        lines += ["Publish a message:", f"  {publish}", ""]
        if not is_development:
            lines += ["with MQOPS_CREDENTIAL set to a key: `mqops credentials create` makes one, and its manifest", ""]
        lines += ["Watch it arrive (in another terminal, in this directory):", f"  {command} listen", ""]
        if example.queue is not None:
            queue = f"--queue {example.queue} --tenant {example.tenant}"
            lines += ["Or put one in a queue and pull it:"]
            lines += [f"  {command} publish {queue} --data '{{\"order\": 1}}'", f"  {command} pull {queue} --ack", ""]
    lines += [f"Logs: {directory.logs}/*.log", "Ctrl-C stops everything."]
    return "\n".join(lines)


def _publish_line(url: str, example: Example, token: str) -> str:
    body = json.dumps({"messages": [_MESSAGE]}, separators=(",", ":"))
    return (
        f"curl -sS {url}/api/v1/mq/topics/{example.topic}/publish"
        f' -H "Authorization: Bearer {token}" -H "X-Mqops-Tenant: {example.tenant}"'
        f' -H "Content-Type: application/json" -d {shlex.quote(body)}'
    )


def _token(credential: Path | None) -> str:
    """Read by the shell when it is pasted, so that it is in no history and on no screen."""
    # Without one: the key of a credential that the manifests declare, made by `mqops credentials create`.
    return "$MQOPS_CREDENTIAL" if credential is None else f"$(cat {shlex.quote(str(credential))})"


def _command() -> str:
    """How the reader starts this very program."""
    script = Path(sys.executable).with_name("mqops")
    on_path = shutil.which("mqops")
    if on_path is not None and Path(on_path).resolve() == script.resolve():
        return "mqops"
    place = script if script.exists() else None
    if place is None:
        return f"{shlex.quote(sys.executable)} -m mqops.cli"
    return shlex.quote(str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place))
