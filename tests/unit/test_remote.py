"""Where commands find the server and the credential."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import psutil
import pytest

from mqops.cli.remote import Refused, find_remote, split_tenant
from mqops.embedded.process import Started
from mqops.embedded.running import Running
from mqops.errors import ConfigurationError


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As beside a running `mqops up`, which is this process."""
    process = psutil.Process()
    up = Started("up", process.pid, process.create_time(), process.cmdline()[0], 2)
    variables = {"PORT": "4010", "MQOPS_HOST": "0.0.0.0", "MQOPS_DEVELOPMENT_CREDENTIAL": "dev-key"}
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(Running("run", up, variables)))
    return {"MQOPS_STATE_DIR": str(tmp_path)}


def test_without_any_word_it_is_the_mqops_up_of_this_directory(environment: dict[str, str]) -> None:
    remote = find_remote(None, None, None, environment)
    assert (remote.url, remote.credential) == ("http://127.0.0.1:4010", "dev-key")


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_the_development_credential_is_sent_nowhere_else(environment: dict[str, str], by: str) -> None:
    other = "http://mq.example:3010/"
    if by == "flag":
        remote = find_remote(other, None, None, environment)
    else:
        remote = find_remote(None, None, None, {**environment, "MQOPS_URL": other})
    assert (remote.url, remote.credential) == ("http://mq.example:3010", None)


def test_a_flag_goes_before_a_variable_and_both_before_what_runs(environment: dict[str, str]) -> None:
    environment |= {"MQOPS_CREDENTIAL": "from-variable"}
    assert find_remote(None, "from-flag", None, environment).credential == "from-flag"
    assert find_remote(None, None, None, environment).credential == "from-variable"


def test_with_nothing_running_it_is_the_port_of_the_settings(tmp_path: Path) -> None:
    remote = find_remote(None, None, None, {"MQOPS_STATE_DIR": str(tmp_path), "PORT": "5010", "MQOPS_HOST": "::1"})
    assert (remote.url, remote.credential) == ("http://[::1]:5010", None)


@pytest.mark.parametrize("server", ["localhost:3010", "ftp://x", "http://", "nothing"])
def test_what_is_no_url_is_told(server: str) -> None:
    with pytest.raises(ConfigurationError, match="not a server's URL"):
        find_remote(server, None, None, os.environ)


def test_the_credential_is_in_no_representation(environment: dict[str, str]) -> None:
    assert "dev-key" not in repr(find_remote(None, None, None, environment))


def test_a_tenant_is_named_apart_or_in_front() -> None:
    assert split_tenant("orders", None) == ("orders", None)
    assert split_tenant("orders", "acme") == ("orders", "acme")
    assert split_tenant("acme/orders", None) == ("orders", "acme")
    assert split_tenant("acme/orders", "acme") == ("orders", "acme")
    with pytest.raises(ConfigurationError):
        split_tenant("acme/orders", "globex")


def test_a_credential_follows_no_redirect() -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever).start()
        remote = find_remote(f"http://127.0.0.1:{server.server_port}", "key", None, {})
        with pytest.raises(Refused, match="the server answered 302"):
            remote.call("POST", "/x", {})
        server.shutdown()
    assert asked == ["/x"]
