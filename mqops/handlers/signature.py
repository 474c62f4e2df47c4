"""Signing a webhook, and verifying such a signature, as Standard Webhooks has it.

The signature is ``v1,`` and the base64 of HMAC-SHA256 over ``<id>.<timestamp>.<body>``; a header may hold several,
separated by spaces, while a secret is being replaced. Source: https://github.com/standard-webhooks/standard-webhooks,
``spec/standard-webhooks.md``.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "whsec_"
SHORTEST_SECRET_BYTES = 24
TOLERANCE_SECONDS = 300
"""How far a timestamp may be from the receiver's clock: an older request may be a recorded one, sent again."""


def signing_key(secret: str) -> bytes:
    """The key in ``secret``: ``whsec_`` and base64, or else the text's own bytes.

    Raises ``ValueError`` (which does not quote the secret) when it is not base64 or holds under 24 bytes.
    """
    if secret.startswith(PREFIX):
        try:
            encoded = secret.removeprefix(PREFIX)
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except binascii.Error as error:
            raise ValueError(f"what follows {PREFIX} is not base64") from error
    else:
        key = secret.encode()
    if len(key) < SHORTEST_SECRET_BYTES:
        raise ValueError(f"a signing secret needs {SHORTEST_SECRET_BYTES} bytes or more, this one has {len(key)}")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``; ``timestamp`` in seconds since 1970."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")


@dataclass(frozen=True, slots=True)
class Verified:
    """A known secret made this signature, within the tolerated time."""

    by: str
    """The secret's name."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """There is no signature."""


@dataclass(frozen=True, slots=True)
class NotVerified:
    """There is a signature, and it is not to be trusted."""

    reason: str


Verdict = Verified | Unsigned | NotVerified


def verify(headers: Mapping[str, str], body: bytes, keys: Mapping[str, bytes], now: float) -> Verdict:
    """Whether one of ``keys`` (by name) made the signature in ``headers`` (whose names are looked up in lower case).

    ``now``: the receiver's clock, seconds since 1970.
    """
    signatures = headers.get("webhook-signature")
    if signatures is None:
        return Unsigned()
    message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not message_id or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 15):
        return NotVerified("webhook-id or webhook-timestamp is missing or malformed")
    given = [signature.encode() for signature in signatures.split(" ")]
    for name, key in keys.items():
        expected = sign(key, message_id, int(timestamp), body).encode()
        if any(hmac.compare_digest(expected, signature) for signature in given):
            away = abs(now - int(timestamp))
            if away > TOLERANCE_SECONDS:
                return NotVerified(f"signed by {name}, but {away:.0f} s away from this clock")
            return Verified(name)
    return NotVerified("no secret verifies this signature")
