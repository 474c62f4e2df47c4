"""`mqops plan --server`: the manifests are sent to a server, which plans them; no store's credentials are needed here.

What is wrong with the files by themselves is told before anything is sent. What they may refer to only the server
knows, and which values variables have there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import typer

from mqops.cli.asked import Asked
from mqops.cli.plan_shown import print_lines, tell_beside
from mqops.cli.remote import Refused as Answered
from mqops.cli.remote import Remote, find_remote
from mqops.errors import ConfigurationError, InvalidManifests, Refused
from mqops.settings import settings_from

if TYPE_CHECKING:
    from mqops.model import Identity
    from reconciler.manifests.check import Checked

_MAX_BYTES = 10 * 1024**2
_TIMEOUT_SECONDS = 600.0
"""Plans are made one after the other, and large ones take their time."""

Output = Literal["text", "json", "markdown"]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The server that is to plan, and as whom."""

    server: str
    source: str | None
    tenant: str | None
    credential_file: Path | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server answered."""

    answer: Mapping[str, Any]

    @property
    def is_refused(self) -> bool:
        return bool(self.answer["plan"]["refused"])

    @property
    def is_empty(self) -> bool:
        plan = self.answer["plan"]
        return not plan["resource_changes"] and not plan["leftovers"]

    @property
    def is_pending(self) -> bool:
        return not self.is_empty or self.answer["heldBack"] > 0

    def show(self, output: Output) -> None:
        """As a plan that was made here."""
        held = self.answer["held"]
        if output == "json":
            typer.echo(json.dumps(self.answer["plan"], indent=2, ensure_ascii=False))
        elif output == "markdown":
            typer.echo(self.answer["markdown"], nl=False)
        elif not held or not self.is_empty or self.is_refused:
            print_lines((line["about"], line["line"]) for line in self.answer["text"])
        tell_beside(self.answer["warnings"], (hold["message"] for hold in held), self.answer["heldBack"])


def plan_elsewhere(asked: Asked, elsewhere: Elsewhere, output: Output) -> Sent:
    """What the server answers. Raises ``ConfigurationError`` for what is wrong here, manifests too, and for what does
    not answer like mqops; ``Refused``; ``BrokerNotAvailable``; ``MqopsError`` for every other error."""
    remote = _remote(elsewhere)
    body = {**_options(asked), "files": _files(asked, elsewhere.source)}
    if elsewhere.source is not None:
        body["source"] = elsewhere.source
    if output != "json":
        body |= {"show": output, "directory": asked.shown_directory}
    size = len(msgspec.json.encode(body))
    if size > _MAX_BYTES:
        raise ConfigurationError(
            f"the manifests are {size / 1024**2:.1f} MiB, and a request has {_MAX_BYTES // 1024**2} MiB at most: "
            "plan them Source by Source, with --source"
        )
    try:
        sent = Sent(remote.call("POST", remote.path("plans"), body, _TIMEOUT_SECONDS))
    except Answered as error:
        raise _told(error, asked) from error
    _require_known(sent)
    return sent


def _remote(elsewhere: Elsewhere) -> Remote:
    path, credential = elsewhere.credential_file, None
    if path is not None:
        try:
            credential = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigurationError(f"--credential-file {path} cannot be read: {reason}") from error
        if not credential:
            raise ConfigurationError(f"--credential-file {path} is empty: it has to hold a key")
    remote = find_remote(elsewhere.server, credential, elsewhere.tenant)
    if remote.credential is None:
        raise ConfigurationError("no credential to send: set MQOPS_CREDENTIAL, or pass --credential-file")
    return remote


def _options(asked: Asked) -> dict[str, Any]:
    scope, allowed = asked.scope, asked.allowed
    return {
        "targets": sorted(map(_word, scope.targets)),
        "labels": dict(scope.labels),
        "refreshOnly": scope.is_refresh_only,
        "takeOver": list(asked.take_over),
        "allowDataLoss": allowed.data_loss,
        "allowMassDelete": sorted(allowed.mass_delete),
        "unprotect": sorted(map(_word, allowed.unprotected)),
        "adopt": allowed.adopt,
    }


def _word(identity: "Identity") -> str:
    return "/".join(part for part in (identity.kind.lower(), identity.tenant, identity.name) if part)


def _files(asked: Asked, source: str | None) -> dict[str, str]:
    """What to send: of a tree that says which files are ``source``'s, those. Raises ``ManifestsRejected``."""
    from reconciler.reading import ManifestsRejected

    contents, checked = _read(asked)
    names = set(contents)
    if source in checked.sources:
        names = {name for name, digest in checked.digests.items() if digest.source == source}
    found = [problem for problem in checked.problems if problem.file in names or problem.file not in contents]
    problems = [problem for problem in found if problem.rule not in _FOR_THE_SERVER]
    if problems:
        raise ManifestsRejected(Path(asked.shown_directory), problems)
    return {name: contents[name].decode() for name in sorted(names)}


_FOR_THE_SERVER = ("variable", "reference")
"""Rules that the server alone can judge."""


def _read(asked: Asked) -> "tuple[dict[str, bytes], Checked]":
    from reconciler.manifests.check import check, check_file
    from reconciler.manifests.source import find, read

    settings = settings_from(os.environ)
    if asked.directory is None:
        path, data = asked.given()
        return {path.name: data}, check_file(path.name, data, settings)
    tree = find(asked.directory)
    read_files = {file.name: read(tree, file) for file in tree.files}
    contents = {name: data for name, data in read_files.items() if isinstance(data, bytes)}
    return contents, check(asked.directory, settings)


def _require_known(sent: Sent) -> None:
    version = sent.answer["plan"]["format_version"]
    if version.partition(".")[0] != "1":
        raise ConfigurationError(f"the server's plans are of version {version}, this mqops reads version 1: update it")


def _told(error: Answered, asked: Asked) -> Exception:
    """The server's error as what the same would be here."""
    from reconciler.manifests.problem import Problem
    from reconciler.reading import ManifestsRejected

    body = error.details.get("body", {})
    if body.get("code") == Refused.code:
        return Refused(body["message"])
    if body.get("code") != InvalidManifests.code:
        return error
    problems = [Problem(**{**found, "suggestion": found["suggestion"] or ""}) for found in body["details"]["problems"]]
    return ManifestsRejected(Path(asked.shown_directory), problems)
