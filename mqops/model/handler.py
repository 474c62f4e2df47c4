"""Handler: where messages are delivered to."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mqops.durations import Duration, duration_within
from mqops.errors import InvalidValue
from mqops.model.metadata import Strict, explained
from mqops.model.mutability import LIVE, ONLY_VALUE

_VARIABLE_PATTERN = r"^MQOPS_[A-Z0-9_]{1,200}$"
_VARIABLE_EXPLANATION = "an environment variable that a manifest may use: MQOPS_, the tenant in capitals, _ and a name"
VariableName = Annotated[
    str, StringConstraints(pattern=_VARIABLE_PATTERN), explained(_VARIABLE_PATTERN, _VARIABLE_EXPLANATION)
]
_FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"
_FILE_EXPLANATION = "the name of a file in the tenant's folder of the secrets directory, without a path"
FileName = Annotated[str, StringConstraints(pattern=_FILE_PATTERN), explained(_FILE_PATTERN, _FILE_EXPLANATION)]


class SecretReference(Strict):
    """Where a secret is found; its value never enters a plan, a log or PostgreSQL."""

    env: Annotated[VariableName | None, LIVE] = None
    """An environment variable, of those the tenant may use: `MQOPS_<TENANT>_…`."""
    file: Annotated[FileName | None, LIVE] = None
    """A file in the tenant's folder of the secrets directory."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretReference":
        if (self.env is None) == (self.file is None):
            raise InvalidValue("name exactly one of env and file")
        return self


def environment_prefix(tenant: str) -> str:
    """What the names of ``tenant``'s environment variables begin with."""
    return f"MQOPS_{re.sub('[^A-Z0-9]', '_', tenant.upper())}_"


def _is_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise InvalidValue(f"not a URL: {error}") from error
    if not is_complete:
        raise InvalidValue("not a URL: write https://host/path")
    return url


def _is_theirs(header: str) -> str:
    if header.lower().startswith("webhook-") or header.lower() in _OURS:
        raise InvalidValue(f"mqops sets {header} on every delivery: choose another header")
    return header


_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})

_VARIABLE_FIRST = r"^\$\{"  # in a manifest as it is written: `${NAME}` is filled in before the URL is checked
_URL_PATTERN = r"^https?://[^\s]+$"
Url = Annotated[
    str,
    StringConstraints(pattern=_URL_PATTERN, max_length=2048),
    AfterValidator(_is_url),
    explained(f"{_URL_PATTERN}|{_VARIABLE_FIRST}", "a URL that begins with http:// or https://", maxLength=2048),
]
_HEADER_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
HeaderName = Annotated[
    str,
    StringConstraints(pattern=_HEADER_PATTERN),
    AfterValidator(_is_theirs),
    explained(_HEADER_PATTERN, "the name of an HTTP header"),
]
_HEADER_VALUE_PATTERN = r"^[\x20-\x7e]{0,4096}$"
HeaderValue = Annotated[
    str,
    StringConstraints(pattern=_HEADER_VALUE_PATTERN),
    explained(_HEADER_VALUE_PATTERN, "the value of an HTTP header: printable ASCII on one line"),
]


class HttpHandler(Strict):
    """A webhook: one POST a message, in the Standard Webhooks form."""

    url: Annotated[Url, LIVE]
    """Where to post."""
    timeout: Annotated[Annotated[Duration, duration_within("10ms", "1h")] | None, LIVE] = None
    """For the whole request. Without it, PROCESSING_TIMEOUT_MS."""
    headers: Annotated[dict[HeaderName, HeaderValue], LIVE] = Field(default_factory=dict)
    """Sent with each request, beside ours."""
    signing_secret: Annotated[SecretReference | None, LIVE] = None
    """Signs each request (`webhook-signature`); `whsec_` and base64, or any text of 24 bytes or more."""


class HandlerSpec(Strict):
    """How a message is delivered."""

    type: Annotated[Literal["http"], ONLY_VALUE]
    """The kind of handler."""
    http: Annotated[HttpHandler, LIVE]
    """Settings of the webhook."""
