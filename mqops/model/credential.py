"""Credential: a principal and the keys it signs in with."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from mqops.errors import InvalidValue
from mqops.model.metadata import Name, Strict, explained
from mqops.model.mutability import LIVE

Role = Literal["publisher", "consumer", "viewer", "planner", "deployer", "admin"]
"""``publisher`` and ``consumer`` are about messages, the others about what is declared."""

_OF_MESSAGES: frozenset[Role] = frozenset({"publisher", "consumer"})

_DIGEST_PATTERN = r"^[0-9a-f]{64}$"
_DIGEST_EXPLANATION = "a SHA-256 digest: 64 hexadecimal digits in lower case, as `mqops credentials create` prints it"
Digest = Annotated[str, StringConstraints(pattern=_DIGEST_PATTERN), explained(_DIGEST_PATTERN, _DIGEST_EXPLANATION)]

_SCOPE_PATTERN = r"^([a-z0-9*][a-z0-9._*-]{0,199}/)?[a-z0-9*][a-z0-9._*-]{0,199}$"
_SCOPE_EXPLANATION = (
    "the name of a topic or queue, or tenant/name of another tenant's, where * stands for any characters"
)
TopicPattern = Annotated[str, StringConstraints(pattern=_SCOPE_PATTERN), explained(_SCOPE_PATTERN, _SCOPE_EXPLANATION)]


class CredentialKey(Strict):
    """One key. Only its digest is kept: keys have 256 random bits, so the digest is safe to commit."""

    sha256: Annotated[Digest, LIVE]
    """SHA-256 of the key, in hexadecimal; `mqops credentials create` prints both."""
    expires_at: Annotated[AwareDatetime | None, LIVE] = None
    """When it stops working (RFC 3339)."""

    def is_valid_at(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


class CredentialSpec(Strict):
    """Who a bearer key stands for, and what it may do."""

    principal: Annotated[Name, LIVE]
    """The name that topics list under `producers` and `consumers`."""
    roles: Annotated[tuple[Role, ...], Field(min_length=1), LIVE] = ("publisher", "consumer")
    """What its keys may be used for."""
    topics: Annotated[tuple[TopicPattern, ...], Field(max_length=100), LIVE] = ()
    """Topics and queues that its keys may be used for, by name or by pattern; empty means all. A pattern has `*` for
    any characters; `tenant/name` is another tenant's."""
    keys: Annotated[tuple[CredentialKey, ...], Field(min_length=1, max_length=10), LIVE]
    """Keys that work at the same time, so that one can be replaced without an interruption."""

    @model_validator(mode="after")
    def _what_is_limited_is_about_messages(self) -> "CredentialSpec":
        others = [role for role in self.roles if role not in _OF_MESSAGES]
        if self.topics and others:
            raise InvalidValue(
                f"a credential that is limited to topics is for messages alone, and {others[0]} is about what is "
                "declared: leave topics or that role out"
            )
        return self
