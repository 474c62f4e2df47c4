"""``mqops listen`` as a command: what it prints of what it receives."""

import base64
import contextlib
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import MQOPS, environment
from standardwebhooks.webhooks import Webhook

from mqops.handlers.signature import sign, signing_key

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four bytes or more").decode()
BODY = '{"total":120,"name":"grün"}'.encode()


class Listening:
    """A running ``mqops listen``."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port

    def post(
        self, path: str = "/hook", body: bytes = BODY, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> int:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, headers=dict(headers or {}), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                status: int = response.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        return status

    def ended(self) -> str:
        """What it printed, after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=10)
        assert self.process.returncode == 0
        return output


@contextlib.contextmanager
def listening(directory: Path, *arguments: str) -> Iterator[Listening]:
    process = subprocess.Popen(
        [*MQOPS, "listen", "--port", "0", *arguments],
        env=state_in(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        ready = process.stderr.readline()
        assert ready.startswith("listening on http://127.0.0.1:"), ready
        yield Listening(process, int(ready.split(":")[2].split(",")[0]))
    finally:
        process.kill()
        process.communicate()


def state_in(directory: Path) -> dict[str, str]:
    return environment(MQOPS_STATE_DIR=str(directory), TERM="dumb")


def signed(secret: str, at: float | None = None, body: bytes = BODY) -> dict[str, str]:
    timestamp = int(time.time() if at is None else at)
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(signing_key(secret), "msg-1", timestamp, body),
        "mqops-attempt": "2",
        "mqops-topic": "acme/orders",
    }


def put_secret(directory: Path, text: str = SECRET) -> None:
    path = directory / "secrets" / "acme" / "billing-webhook"
    path.parent.mkdir(parents=True)
    path.write_text(text + "\n")


def records(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_each_request_is_a_line_of_json_with_the_verdict_on_its_signature(tmp_path: Path) -> None:
    with listening(tmp_path, "-o", "json") as ours:
        ours.post(headers=signed(SECRET))
        put_secret(tmp_path)  # found although it came after the start
        ours.post("/a/b?c=d", headers=signed(SECRET))
        ours.post(headers=signed("another secret, of twenty-four bytes"))
        ours.post(headers=signed(SECRET, at=time.time() - 3600))
        ours.post(body=b"\xff\x00", method="PUT")
        got = records(ours.ended())
    assert [(re.sub(r"360\d s", "an hour", record["verdict"]), record["verified"]) for record in got] == [
        ("no secret verifies this signature", False),
        ("signature ok (acme/billing-webhook)", True),
        ("no secret verifies this signature", False),
        ("signed by acme/billing-webhook, but an hour away from this clock", False),
        ("unsigned", False),
    ]
    assert (got[1]["path"], got[1]["method"], got[1]["id"], got[1]["attempt"]) == ("/a/b?c=d", "POST", "msg-1", "2")
    assert got[1]["body"].encode() == BODY
    assert got[1]["headers"]["mqops-topic"] == "acme/orders"
    Webhook(SECRET).verify(got[1]["body"], got[1]["headers"])
    assert (base64.b64decode(got[4]["bodyBase64"]), got[4]["method"]) == (b"\xff\x00", "PUT")


def test_text_output_shows_what_a_person_wants_and_nothing_that_moves_the_terminal(tmp_path: Path) -> None:
    put_secret(tmp_path)
    with listening(tmp_path) as ours:
        ours.post("/hook", headers=signed(SECRET))
        ours.post("/plain", body=b"\x1b[2Jgone [bold]red[/bold]\n")
        ours.post("/escape", body=json.dumps({"a": "\x1b[2J\x9b2J"}, ensure_ascii=False).encode())
        ours.post("/none", body=b"")
        output = ours.ended()
    assert "POST /hook  answered 200  attempt 2" in output
    assert "id msg-1  signature ok (acme/billing-webhook)" in output
    assert "mqops-topic: acme/orders" in output
    assert '  "total": 120,' in output
    assert '  "name": "grün"' in output
    assert "[bold]red[/bold]" in output
    assert "(no body)" in output
    assert not {"\x1b", "\x9b"} & set(output)


def test_it_answers_as_told(tmp_path: Path) -> None:
    with listening(tmp_path, "--fail", "2", "--status", "202", "-o", "json") as ours:
        assert [ours.post() for _ in range(4)] == [500, 500, 202, 202]
        assert [record["status"] for record in records(ours.ended())] == [500, 500, 202, 202]


def test_secrets_that_are_given_are_the_only_ones(tmp_path: Path) -> None:
    put_secret(tmp_path)
    (tmp_path / "mine").write_text("the text of another secret\n")
    with listening(
        tmp_path, "--secret", f"@{tmp_path}/mine", "--secret", "a third secret, of 24 bytes", "-o", "json"
    ) as ours:
        ours.post(headers=signed("the text of another secret"))
        ours.post(headers=signed("a third secret, of 24 bytes"))
        ours.post(headers=signed(SECRET))
        got = [record["verdict"] for record in records(ours.ended())]
    assert got == [f"signature ok (@{tmp_path}/mine)", "signature ok (secret 2)", "no secret verifies this signature"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--secret", "short"], "error: --secret secret 1: a signing secret needs 24 bytes or more, this one has 5"),
        (["--secret", "@/nowhere/at/all"], "error: --secret @/nowhere/at/all: No such file or directory"),
    ],
)
def test_a_secret_that_is_none_is_an_error(tmp_path: Path, arguments: list[str], words: str) -> None:
    assert refused(tmp_path, *arguments) == words


def test_a_taken_port_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with listening(tmp_path) as ours:
        assert refused(tmp_path, "--port", str(ours.port)) == (
            f"error: cannot listen on 127.0.0.1:{ours.port}: the port is taken; "
            "stop what listens there, or choose another --port"
        )


def refused(directory: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [*MQOPS, "listen", *arguments],
        env=state_in(directory),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    return ended.stderr.strip()
