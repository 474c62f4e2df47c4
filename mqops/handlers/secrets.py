"""The value behind a secret's reference, for the tenant that makes it.

Manifests name secrets, and tenants write manifests; so a name is only good for the tenant it belongs to:

- ``{env: MQOPS_<TENANT>_…}``: the tenant in capitals, everything but letters and digits as ``_``. ``MQOPS_A_B_KEY``
  could belong to tenant ``a`` or ``a-b``: it is the longest-named tenant's, and nobody's when two fit alike.
- ``{file: NAME}``: the file ``NAME`` in the tenant's folder of the secrets directory. A link may not lead out of that
  folder. It is read again when it changes.

Values are never logged, and no error quotes one.
"""

import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from mqops.model import SecretReference
from mqops.model.handler import environment_prefix

LARGEST_SECRET_BYTES = 65_536

_prefix = lru_cache(maxsize=4096)(environment_prefix)


class SecretUnavailable(Exception):
    """The reference leads to no value. The text names the reference and the way out, never a value."""


class SecretStore:
    """Resolves references. ``tenants`` gives the names of all tenants: the same collection until they change."""

    def __init__(self, directory: Path, environment: Mapping[str, str], tenants: Callable[[], Collection[str]]) -> None:
        self._directory = directory
        self._environment = environment
        self._tenants = tenants
        self._read: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._allowed: dict[tuple[str, str], bool] = {}
        self._allowed_among: Collection[str] = ()

    def resolve(self, tenant: str, reference: SecretReference) -> str:
        """The value; raises ``SecretUnavailable``."""
        if reference.env is not None:
            return self._from_environment(tenant, reference.env)
        assert reference.file is not None
        return self._from_file(tenant, reference.file)

    def _from_environment(self, tenant: str, name: str) -> str:
        if not self._may_use(tenant, name):
            raise SecretUnavailable(
                f"environment variable {name} is not one that tenant {tenant} may use: {environment_prefix(tenant)}…"
            )
        value = self._environment.get(name)
        if not value:
            raise SecretUnavailable(f"environment variable {name} is not set in the worker's environment")
        return value

    def _may_use(self, tenant: str, name: str) -> bool:
        tenants = self._tenants()
        if tenants is not self._allowed_among:
            self._allowed, self._allowed_among = {}, tenants
        allowed = self._allowed.get((tenant, name))
        if allowed is None:
            allowed = self._allowed[tenant, name] = may_use(tenant, name, tenants)
        return allowed

    def _from_file(self, tenant: str, name: str) -> str:
        reference = f"secret file {tenant}/{name}"
        folder = self._directory / tenant
        try:
            path = (folder / name).resolve(strict=True)
            if not path.is_relative_to(folder.resolve(strict=True)):
                raise SecretUnavailable(f"{reference} is a link that leads out of the tenant's folder")
            return self._read_file(path, reference)
        except FileNotFoundError as error:
            raise SecretUnavailable(f"{reference} is not in the secrets directory") from error
        except OSError as error:
            raise SecretUnavailable(f"{reference} cannot be read: {error.strerror}") from error
        except RuntimeError as error:  # pathlib's word for a loop, before Python 3.13
            raise SecretUnavailable(f"{reference} is a link to itself") from error
        except UnicodeDecodeError as error:
            raise SecretUnavailable(f"{reference} is not UTF-8 text") from error

    def _read_file(self, path: Path, reference: str) -> str:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # before it is opened: reading a pipe would wait for ever
            raise SecretUnavailable(f"{reference} is not a regular file")
        version = (status.st_mtime_ns, status.st_ino, status.st_size)
        known = self._read.get(path)
        if known is not None and known[0] == version:
            return known[1]
        if status.st_size > LARGEST_SECRET_BYTES:
            raise SecretUnavailable(f"{reference} is larger than {LARGEST_SECRET_BYTES} bytes")
        value = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        if not value:
            raise SecretUnavailable(f"{reference} is empty")
        self._read[path] = (version, value)
        return value


def may_use(tenant: str, name: str, tenants: Iterable[str]) -> bool:
    """Whether environment variable ``name`` belongs to ``tenant`` and to no other of ``tenants``."""
    own = _prefix(tenant)
    if not name.startswith(own):
        return False
    others = (_prefix(other) for other in tenants if other != tenant)
    return not any(name.startswith(other) and len(other) >= len(own) for other in others)
