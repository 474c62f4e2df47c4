"""Handler: where messages are delivered to."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mqops.durations import Duration
from mqops.model.metadata import Strict


class SecretReference(Strict):
    """Where a secret is found; its value never enters a plan, a log or PostgreSQL."""

    env: Annotated[str, StringConstraints(pattern=r"^MQOPS_[A-Z0-9_]+$")] | None = None
    """An environment variable, of those the tenant may use: `MQOPS_<TENANT>_…`."""
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")] | None = None
    """A file in the tenant's folder of the secrets directory."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretReference":
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of env and file")
        return self


class HttpHandler(Strict):
    """A webhook: one POST a message, in the Standard Webhooks form."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)]
    """Where to post."""
    timeout: Duration | None = None
    """For the whole request. Without it, PROCESSING_TIMEOUT_MS."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with each request, beside ours."""
    signing_secret: SecretReference | None = None
    """Signs each request (`webhook-signature`); `whsec_` and base64, or any text of 24 bytes or more."""

    @field_validator("headers")
    @classmethod
    def _headers_are_theirs(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name.lower().startswith("webhook-") or name.lower() in {"host", "content-length", "content-type"}:
                raise ValueError(f"{name!r} is set by mqops on every delivery")
            if not name.replace("-", "").replace("_", "").isalnum() or any(c in value for c in "\r\n\0"):
                raise ValueError(f"{name!r} is not a valid HTTP header")
        return headers


class HandlerSpec(Strict):
    """How a message is delivered."""

    type: Literal["http"]
    """The kind of handler."""
    http: HttpHandler
    """Settings of the webhook."""
