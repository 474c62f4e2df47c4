"""`mqops publish`, `pull` and `tail` against the running API."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from api_platform import ACME, SYSTEM, Platform
from commands import MQOPS, environment
from waiting import eventually

from mqops.cli import messages


def speaking_to(platform: Platform, **more: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{platform.client.port}"
    return environment(**{"MQOPS_URL": url, "MQOPS_CREDENTIAL": ACME, "http_proxy": "http://127.0.0.1:1", **more})


def mqops(platform: Platform, *arguments: str, stdin: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*MQOPS, *arguments],
        env=speaking_to(platform, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_message_goes_in_and_comes_out(platform: Platform, tmp_path: Path) -> None:
    topic, subscription = platform.topic_with_reader()
    done = mqops(platform, "publish", topic, "--data", '{"total": 1}', "--key", "k", "--header", "region=eu=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("published 0")
    (tmp_path / "body.json").write_text("[2]")
    assert mqops(platform, "publish", topic, "-d", f"@{tmp_path / 'body.json'}").returncode == 0
    assert mqops(platform, "publish", f"acme/{topic}", stdin="3\n", MQOPS_CREDENTIAL=SYSTEM).returncode == 0
    done = mqops(platform, "pull", subscription, "--ack", "-o", "json")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert [message["payload"] for message in messages] == [{"total": 1}, [2], 3]
    assert (messages[0]["key"], messages[0]["headers"]) == ("k", {"region": "eu=1"})
    assert platform.acme.settle("ack", subscription, messages[0]["ackId"]) == ["lost"]
    assert mqops(platform, "pull", subscription).stderr == "nothing to pull\n"


def test_a_queue_is_published_to_and_pulled(platform: Platform) -> None:
    queue = platform.queue()
    assert mqops(platform, "publish", "--queue", queue, "-d", '"job"').returncode == 0
    done = mqops(platform, "pull", "--queue", queue, "--max", "1")
    assert done.stdout.splitlines()[1] == '  "job"'


def test_what_is_published_for_later_is_seen_moved_and_cancelled(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    done = mqops(platform, "publish", topic, "-d", '"first"', "--key", "k\x9b", "--delay", "2h")
    assert (done.returncode, done.stderr) == (0, "")
    first = done.stdout.split()[0]
    assert done.stdout.startswith(f"{first} is due at 20")
    done = mqops(platform, "publish", f"acme/{topic}", "-d", "2", "--at", "2020-01-01T00:00:00Z", "-o", "json")
    assert json.loads(done.stdout)["scheduledAt"] == ["2020-01-01T00:00:00.000Z"]
    listed = mqops(platform, "scheduled", "list", topic, "-o", "json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in listed if json.loads(line)["payload"] != 2] == [first]
    shown = mqops(platform, "scheduled", "show", topic, first).stdout
    assert f" {topic}/0 {first} key=k" in shown
    assert '"first"' in shown
    assert "\x9b" not in shown
    moved = mqops(platform, "scheduled", "move", topic, first, "--at", "2020-01-01T00:00:00Z")
    assert moved.stdout == f"{first} is due at 2020-01-01T00:00:00.000Z\n"
    eventually(lambda: len(platform.acme.pull(subscription)), "a message", 5)
    done = mqops(platform, "publish", topic, "-d", "3", "--delay", "1d", "-o", "json")
    third = json.loads(done.stdout)["messageIds"][0]
    assert mqops(platform, "scheduled", "cancel", topic, third).stdout == f"cancelled {third}\n"
    done = mqops(platform, "scheduled", "cancel", topic, third)
    assert (done.returncode, done.stdout) == (1, "")
    assert "(MESSAGE_NOT_FOUND)" in done.stderr


def test_more_that_wait_than_a_page_has_are_listed(platform: Platform) -> None:
    queue = platform.queue()
    body = {"queue": queue, "messages": [{"payload": number} for number in range(230)], "delayMs": 3_600_000}
    assert platform.acme.post("/publish/delayed", body).status == 200
    done = mqops(platform, "scheduled", "list", "--queue", queue, "--max", "205", "-o", "json")
    assert [json.loads(line)["payload"] for line in done.stdout.splitlines()] == list(range(205))
    assert mqops(platform, "scheduled", "list", "--queue", queue).stderr == "130 more wait: list them with --max\n"
    assert mqops(platform, "scheduled", "list", platform.untouched).stderr == "nothing waits\n"


def test_a_pull_waits_for_the_first_message(platform: Platform) -> None:
    topic, subscription = platform.topic_with_reader()
    command = [*MQOPS, "pull", subscription, "--wait", "30s"]
    with subprocess.Popen(command, env=speaking_to(platform), stdout=subprocess.PIPE, text=True) as waiting:
        time.sleep(1.5)
        assert waiting.poll() is None
        platform.acme.publish(topic, {"payload": "at last"})
        started = time.monotonic()
        output, _ = waiting.communicate(timeout=10)
    assert '"at last"' in output
    assert time.monotonic() - started < 5


def test_a_pull_that_waited_in_vain_says_so(platform: Platform) -> None:
    _, subscription = platform.topic_with_reader()
    done = mqops(platform, "pull", subscription, "--wait", "300ms")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing to pull\n")
    assert mqops(platform, "pull", subscription, "--wait", "soon").returncode == 2


def test_longer_waits_than_the_servers_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Remote:
        def call(self, method: str, path: str, body: dict[str, int], timeout_seconds: float) -> dict[str, list[int]]:
            asked.append(body.get("waitMs", 0))
            time.sleep(body.get("waitMs", 0) / 1000)
            return {"messages": []}

    monkeypatch.setattr(messages, "LONGEST_WAIT_MS", 100)
    assert messages._pulled(Remote(), "", 1, 0.25) == []  # type: ignore[arg-type]
    assert asked[:2] == [100, 100]
    assert 1 <= asked[2] <= 50


def test_tail_prints_what_comes_from_now_on_and_takes_none(platform: Platform, tmp_path: Path) -> None:
    topic, subscription = platform.topic_with_reader()
    platform.acme.publish(topic, {"payload": "before"})
    printed = tmp_path / "printed"
    with printed.open("wb") as output:
        tail = subprocess.Popen([*MQOPS, "tail", topic], env=speaking_to(platform), stdout=output)
    try:
        for number in range(500):
            platform.acme.publish(topic, {"payload": f"seen {number}\x1b[31m", "key": "k\x9b"})
            if '"seen' in (lines := printed.read_text()):
                break
            time.sleep(0.02)
    finally:
        tail.send_signal(signal.SIGINT)
    assert tail.wait(10) == 0
    assert '"seen' in lines
    assert "before" not in lines
    assert "\x1b" not in lines
    assert "\x9b" not in lines
    assert len(platform.acme.pull(subscription, 2)) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("publish", "nowhere", "-d", "1"), "error: there is no topic 'nowhere' (TOPIC_NOT_FOUND)\n"),
        (("publish", "x", "-d", "hello"), "error: --data is not JSON"),
        (("publish", "x", "-d", "@/nowhere"), "error: --data @/nowhere: No such file"),
        (("publish", "x", "-d", "1", "-H", "region"), "error: --header 'region'"),
        (("publish", "a/x", "-d", "1", "--tenant", "b"), "error: 'a/x' names the tenant 'a'"),
        (("publish", "x", "-d", "1", "--server", "nowhere"), "error: 'nowhere' is not a server's URL"),
        (("publish", "x", "-d", "1", "--server", "http://127.0.0.1:1"), "error: http://127.0.0.1:1 does not answer"),
        (("publish", "x", "-d", "1", "--credential", "wrong"), "error: the credential is not known"),
        (("publish", "x", "-d", "1", "--delay", "soon"), "error: --delay soon: "),
        (("publish", "x", "-d", "1", "--delay", "1s", "--at", "2030-01-01T00:00:00Z"), "error: say when"),
        (("scheduled", "move", "x", "y"), "error: say when with --delay or with --at"),
        (("scheduled", "list", "nowhere"), "error: there is no topic 'nowhere' (TOPIC_NOT_FOUND)\n"),
        (("pull",), "error: name a subscription"),
        (("pull", "nowhere"), "error: there is no subscription 'nowhere'"),
        (("tail", "nowhere"), "error: there is no topic 'nowhere'"),
        (("tail", "x", "--server", "http://127.0.0.1:1"), "error: http://127.0.0.1:1 does not answer"),
    ],
)
def test_an_error_is_one_line_and_exit_1(platform: Platform, arguments: tuple[str, ...], words: str) -> None:
    done = mqops(platform, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
