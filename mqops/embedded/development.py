"""What exists on embedded servers alone, so that a first try needs no set-up: a credential for everything, signing
secrets, and leave for webhooks to reach `mqops listen`."""

import base64
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mqops.embedded.directory import make_private
from mqops.errors import ConfigurationError

_CREDENTIAL_BYTES = 32
_SECRET_BYTES = 32


def development_credential(path: Path) -> str:
    """The credential kept at ``path`` (0600), made at random when there is none."""
    if path.exists():
        path.chmod(0o600)
        kept = path.read_text("utf-8").strip()
        if len(kept) >= _CREDENTIAL_BYTES:
            return kept
    credential = secrets.token_urlsafe(_CREDENTIAL_BYTES)
    _write_private(path, credential + "\n")
    return credential


def ensure_development_secrets(secrets_dir: Path, tenants_and_names: Iterable[tuple[str, str]]) -> list[Path]:
    """Make a random signing secret for each (tenant, name) whose file is not there; returns the files made.

    Raises ``ConfigurationError`` when the directory cannot be written.
    """
    made = []
    try:
        for tenant, name in tenants_and_names:
            path = secrets_dir / tenant / name
            if not path.exists():
                secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                make_private(path.parent)
                secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
                _write_private(path, f"whsec_{secret}\n")
                made.append(path)
    except OSError as error:
        raise ConfigurationError(f"cannot make development secrets ({error}): set MQOPS_SECRETS_DIR") from error
    return made


def with_listen_target(private_targets: Mapping[str, tuple[str, ...]], listen_url: str) -> str:
    """MQOPS_PRIVATE_TARGETS that adds to ``private_targets`` exactly the address of ``listen_url``, for every tenant.

    Raises ``ConfigurationError`` when the URL has no host.
    """
    everyone = dict.fromkeys((*private_targets.get("*", ()), _place(listen_url)))
    targets = {**private_targets, "*": tuple(everyone)}
    return ";".join(f"{tenant}={','.join(places)}" for tenant, places in targets.items())


def _place(url: str) -> str:
    """`host:port` of ``url``, the host as the URL writes it."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not parts.hostname:
            raise ValueError("it names no host")
    except ValueError as error:
        raise ConfigurationError(f"MQOPS_LISTEN_URL={url!r} cannot be read: {error}") from error
    return f"[{parts.hostname}]:{port}" if ":" in parts.hostname else f"{parts.hostname}:{port}"


def _write_private(path: Path, text: str) -> None:
    """Write a file for this user alone; a start that is killed leaves it whole or not at all."""
    unfinished = path.with_name(f".{path.name}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.replace(path)
