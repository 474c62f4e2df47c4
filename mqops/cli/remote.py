"""The data plane as commands reach it: over HTTP, with the credential that belongs to the server.

Where nothing names them, the server and the credential are those of the `mqops up` that runs in this directory; its
credential is never sent anywhere else.
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from mqops.embedded.running import find_running
from mqops.errors import BrokerNotAvailable, ConfigurationError, MqopsError
from mqops.settings import settings_from

_TIMEOUT_SECONDS = 30.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Refused(MqopsError):
    """The server's answer was an error; the message has its code and what it said, ``details`` its ``body``."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A credential is for the server that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Remote:
    """A server, and as whom to speak to it."""

    url: str
    credential: str | None = field(repr=False)
    tenant: str | None

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> Any:
        """One request's answer. Raises ``BrokerNotAvailable`` when there is none, or 503; ``Refused`` for every other
        error."""
        data = msgspec.json.encode(body) if body is not None else None
        request = urllib.request.Request(f"{self.url}{path}", data, self._headers(), method=method)  # noqa: S310
        try:
            with self._opener().open(request, timeout=timeout_seconds) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise BrokerNotAvailable(
                f"{self.url} does not answer ({reason}): start `mqops up`, or name the server with --server"
            ) from error
        except ValueError as error:
            raise ConfigurationError(f"{self.url} does not answer like mqops: check --server") from error

    def path(self, *parts: str) -> str:
        """``/api/v1/mq/…`` of names, whatever characters they have."""
        return "/api/v1/mq/" + "/".join(quote(part, safe="") for part in parts)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.credential is not None:
            headers["Authorization"] = f"Bearer {self.credential}"
        if self.tenant is not None:
            headers["X-Mqops-Tenant"] = self.tenant
        return headers

    def _opener(self) -> urllib.request.OpenerDirector:
        # A proxy of the environment has no way to this machine's loopback.
        is_near = urlsplit(self.url).hostname in _LOOPBACK
        proxies = [urllib.request.ProxyHandler({})] if is_near else []
        return urllib.request.build_opener(_NoRedirects, *proxies)


def find_remote(
    server: str | None, credential: str | None, tenant: str | None, environment: Mapping[str, str] = os.environ
) -> Remote:
    """By flags, else by MQOPS_URL and MQOPS_CREDENTIAL, else the `mqops up` of this directory. Raises
    ``ConfigurationError`` for a URL that is none."""
    server = server or environment.get("MQOPS_URL") or None
    credential = credential or environment.get("MQOPS_CREDENTIAL") or None
    if server is None:
        settings = settings_from(environment)
        running = find_running(settings.state_dir)
        if running is not None:
            given = {name: value for name, value in environment.items() if value}
            settings = settings_from({**running.environment, **given})
        server = f"http://{_reachable(settings.host)}:{settings.port}"
        credential = credential or settings.development_credential
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{server!r} is not a server's URL: write it like http://127.0.0.1:3010")
    return Remote(server.rstrip("/"), credential, tenant)


def split_tenant(name: str, tenant: str | None) -> tuple[str, str | None]:
    """A name written ``tenant/name``, or with the tenant apart. Raises ``ConfigurationError`` when they contradict."""
    owner, separator, own_name = name.partition("/")
    if not separator:
        return name, tenant
    if tenant not in (None, owner):
        raise ConfigurationError(f"{name!r} names the tenant {owner!r}, and --tenant says {tenant!r}")
    return own_name, owner


def _reachable(host: str) -> str:
    """An address to connect to, for one to listen on."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"[{near}]" if ":" in near else near


def _refused(error: urllib.error.HTTPError) -> MqopsError:
    kind = BrokerNotAvailable if error.code == http.HTTPStatus.SERVICE_UNAVAILABLE else Refused
    try:
        body = json.loads(error.read())
        return kind(f"{body['message']} ({body['code']})", retry_after_seconds=body.get("retryAfter"), body=body)
    except (ValueError, KeyError, TypeError, OSError):
        return kind(f"the server answered {error.code} {error.reason}")
