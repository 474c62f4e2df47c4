"""A running platform, shared by the tests of a module: starting one for each would be most of their time. And a shell
for each test of commands."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from api_platform import SERVICE_TOKEN, Platform
from checkouts import commit, git
from databases import created
from drifting import ALL, Applied
from governed import FILES, Governed, governing
from installation import Installation
from redis import Redis
from served import served
from shell import MANIFEST, Shell
from stores import applied, opened

from mqops.catalog import feed
from mqops.settings import Settings


@pytest.fixture(scope="module")
def platform(
    database_server_url: str, template_database: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Tests of a module that uses it must not use ``redis_url``, which empties the server."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.02)  # each test declares what it needs, and waits for it to be seen
    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
    with created(database_server_url, f"mqops_platform_{uuid4().hex[:12]}", template_database) as database_url:
        installation = Installation(database_url, redis_server_url)
        state = tmp_path_factory.mktemp("state")
        more = {"internal_service_token": SERVICE_TOKEN}
        with served(database_url, redis_server_url, state, installation.id, **more) as client:
            platform = Platform(installation, client)
            platform.populate()
            yield platform
    monkeypatch.undo()


@pytest.fixture
def there(database_url: str, redis_url: str) -> Iterator[Applied]:
    """What ``drifting`` declares, applied."""
    with opened(database_url, redis_url) as stores:
        applied(stores, ALL)
        yield Applied(stores, redis_url)


@pytest.fixture
def shell(
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/acme.yaml").write_text(MANIFEST)
    for name in list(os.environ):
        if name.startswith("MQOPS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys)


@pytest.fixture
def governed(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Governed]:
    """Two Sources of three tenants, applied and served."""
    settings = Settings(database_url=database_url, redis_url=redis_url, state_dir=tmp_path / "governed")
    with governing(FILES, settings) as found:
        yield found


@pytest.fixture
def without_globex(
    governed: Governed, database_server_url: str, template_database: str, redis_server_url: str, tmp_path: Path
) -> Iterator[Governed]:
    """Another installation, where the tenant globex and all it has never were."""
    files = {name: text for name, text in FILES.items() if "globex" not in name}
    with created(database_server_url, f"mqops_world_{uuid4().hex[:12]}", template_database) as database_url:
        settings = Settings(
            database_url=database_url,
            redis_url=redis_server_url,
            redis_key_prefix="other:",
            state_dir=tmp_path / "without",
        )
        with governing(files, settings) as found:
            yield found


@pytest.fixture
def checkout(shell: Shell) -> Shell:
    """The manifests, committed."""
    git(shell, "init", "-q", "-b", "main")
    commit(shell)
    return shell
