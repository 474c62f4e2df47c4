"""A tree of two Sources, one of them for two tenants, applied and served: what plans over HTTP are asked of."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from served import Answer, Client, served
from trees import manifest, together, tree

from mqops.bootstrap.control import open_stores
from mqops.settings import Settings
from reconciler.pipeline import apply_manifests
from reconciler.reading import check_manifests
from reconciler.request import Execution, Request
from reconciler.stores import instance
from reconciler.stores.history import Author

AUTHOR = Author("tests", "apply")


def key_of(tenant: str, role: str) -> str:
    return f"key-of-{tenant}-{role}"


def credential(tenant: str, role: str) -> str:
    digest = hashlib.sha256(key_of(tenant, role).encode()).hexdigest()
    spec = {"principal": role, "roles": [role], "keys": [{"sha256": digest}]}
    return manifest("Credential", role, json.dumps(spec), tenant)


def _tenant(name: str) -> str:
    keys = (credential(name, role) for role in ("planner", "admin", "viewer"))
    return together(manifest("Tenant", name), *keys)


FILES: Mapping[str, str] = {
    "sources.yaml": together(
        manifest("Source", "platform", "{path: platform, tenants: [system]}"),
        manifest("Source", "shops", "{path: shops, tenants: [acme, globex, initech]}"),
    ),
    "platform/system.yaml": _tenant("system"),
    "shops/acme.yaml": together(
        _tenant("acme"),
        manifest("Topic", "orders", "{partitions: 2}"),
        manifest("Topic", "news", "{public: true}"),
        manifest("Queue", "jobs"),
        manifest("Subscription", "billing", "{topic: orders}"),
    ),
    "shops/globex.yaml": together(
        _tenant("globex"),
        manifest("Topic", "secret", tenant="globex"),
        manifest("Subscription", "reader", "{topic: acme/news}", tenant="globex"),
    ),
    "shops/initech.yaml": together(
        manifest("Tenant", "initech"),
        manifest("Topic", "offers", "{public: true}", tenant="initech"),
    ),
}


@dataclass(frozen=True)
class Governed:
    """The tree as it was applied, and the server."""

    settings: Settings
    client: Client
    folder: Path
    files: Mapping[str, str]

    def apply(self, files: Mapping[str, str]) -> None:
        """Apply other manifests than there are; the files here stay."""
        apply(tree(self.folder.parent / "other", files), self.settings)

    def of(self, tenant: str, role: str = "planner") -> Client:
        return self.client.with_key(key_of(tenant, role))

    def plan(self, tenant: str, files: Mapping[str, str], **options: Any) -> Answer:
        """What the planner of ``tenant`` is answered."""
        return self.of(tenant).post("/plans", {"files": dict(files), **options})


@contextmanager
def governing(files: Mapping[str, str], settings: Settings) -> Iterator[Governed]:
    """``files`` applied, and a server."""
    folder = tree(settings.state_dir / "manifests", files)
    apply(folder, settings)
    with open_stores(settings) as stores:
        stamp = instance.read_database(stores.database)
    assert stamp is not None
    assert settings.database_url is not None
    assert settings.redis_url is not None
    stores_of = (settings.database_url, settings.redis_url, settings.state_dir / "served", stamp.installation)
    with served(*stores_of, redis_key_prefix=settings.redis_key_prefix) as client:
        yield Governed(settings, client, folder, files)


def apply(folder: Path, settings: Settings) -> None:
    request = Request(check_manifests(folder, settings), settings)
    with open_stores(settings) as stores:
        _, report = apply_manifests(request, stores, Execution(AUTHOR))
    assert report.failed == ()


def changes(answer: Answer) -> list[str]:
    """Of a plan: ``action Kind tenant/name``, in their order."""
    assert answer.status == 200, answer
    return [_told(change) for change in answer.body["plan"]["resource_changes"]]


def refused(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 200, answer
    return [(_told(change), change["obstacle"]) for change in answer.body["plan"]["refused"]]


def _told(change: Mapping[str, Any]) -> str:
    name = "/".join(filter(None, (change["tenant"], change["name"])))
    return f"{change['change']['actions'][0]} {change['kind']} {name}"


def problems(answer: Answer) -> list[str]:
    """``file:line path: message`` of each."""
    assert (answer.status, answer.code) == (422, "INVALID_MANIFESTS"), answer
    return [
        f"{problem['file']}:{problem['line']} {problem['path']}: {problem['message']}"
        for problem in answer.body["details"]["problems"]
    ]
