"""`mqops publish`, `pull` and `tail` against the running API."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from api_platform import ACME, SYSTEM, Platform
from commands import MQOPS, environment


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
