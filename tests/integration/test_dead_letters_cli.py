"""`mqops deadletters` against the running API."""

import json
import subprocess
from typing import Any

import pytest
from api_platform import ACME, SYSTEM, Platform
from commands import MQOPS, environment
from failing import ONCE, fail, failed


def deadletters(platform: Platform, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    url = f"http://127.0.0.1:{platform.client.port}"
    return subprocess.run(
        [*MQOPS, "deadletters", *arguments],
        env=environment(**{"MQOPS_URL": url, "MQOPS_CREDENTIAL": ACME, **more}),
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def listed(platform: Platform, reader: str, *more: str) -> list[dict[str, Any]]:
    done = deadletters(platform, "list", reader, "-o", "json", *more)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_they_are_listed_and_shown(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    headers = {"region": "eu\x1b[31m"}
    fail(platform, topic, reader, {"payload": {"n": 1}, "key": "k1", "headers": headers}, {"payload": 2})
    [first, second] = listed(platform, reader)
    assert listed(platform, reader, "--key", "k1", "--since", "1h") == [first]
    assert listed(platform, reader, "--until", "1h") == []
    assert listed(platform, f"{topic}.deadletter", "--topic", "--subscription", reader) == [first, second]
    assert listed(platform, reader, "--max", "1") == [first]
    table = deadletters(platform, "list", reader, "--max", "1")
    assert table.stderr == "there may be more: --max\n"
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["ID", first["id"]]
    assert f"acme/{topic}/0@1" in table.stdout
    shown = deadletters(platform, "show", f"acme/{reader}", first["id"], MQOPS_CREDENTIAL=SYSTEM)
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in ("retries_exhausted", f"acme/{topic}, partition 0, offset 1", '{"n": 1}', "header region", "(nack)"):
        assert words in shown.stdout
    assert "\x1b" not in shown.stdout
    assert json.loads(deadletters(platform, "show", reader, first["id"], "-o", "json").stdout) == first


def test_an_empty_list_says_so_beside_the_output(platform: Platform) -> None:
    _, reader = platform.topic_with_reader()
    done = deadletters(platform, "list", reader)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no dead letters\n")


def test_they_are_redriven_and_discarded(platform: Platform) -> None:
    topic, reader = platform.topic_with_reader(reader=ONCE)
    fail(platform, topic, reader, *({"payload": n, "key": f"k{n}"} for n in range(6)))
    done = deadletters(platform, "redrive", reader, "--all", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "6 dead letters would be redriven\n", "")
    done = deadletters(platform, "redrive", reader, "--all")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: nobody is there to approve this: pass --yes\n"
    assert len(listed(platform, reader)) == 6
    done = deadletters(platform, "redrive", reader, listed(platform, reader)[0]["id"], "-d", '"edited"', "-H", "a=b")
    assert (done.returncode, done.stdout) == (0, "1 dead letter redriven\n")
    [message] = platform.acme.pull(reader)
    assert (message["payload"], message["headers"]) == ("edited", {"a": "b"})
    done = deadletters(platform, "redrive", reader, "--all", "--max", "2", "--rate", "100", "-y", "-o", "json")
    assert json.loads(done.stdout) == {"dryRun": False, "redriven": 2, "skipped": []}
    done = deadletters(platform, "discard", reader, "--key", "k4", "--yes")
    assert (done.returncode, done.stdout) == (0, "1 dead letter discarded\n")
    elsewhere, at_it = platform.topic_with_reader()
    done = deadletters(platform, "redrive", reader, "--reason", "retries_exhausted", "--to-topic", elsewhere, "-y")
    assert (done.returncode, done.stdout) == (0, "2 dead letters redriven\n")
    assert len(platform.acme.pull(at_it)) == 2
    assert listed(platform, reader) == []


def test_more_than_one_request_takes(platform: Platform) -> None:
    _, reader = failed(platform, *range(1_100))
    done = deadletters(platform, "redrive", reader, "--all", "--max", "1050", "--yes")
    assert (done.returncode, done.stdout) == (0, "1,050 dead letters redriven\n"), done.stderr
    done = deadletters(platform, "discard", reader, "--all", "--yes")
    assert (done.returncode, done.stdout) == (0, "50 dead letters discarded\n"), done.stderr


def test_what_stays_where_it_is_ends_with_1(platform: Platform) -> None:
    _, reader = failed(platform, 1, 2)
    elsewhere, _ = platform.topic_with_reader(maxBacklog=1)
    done = deadletters(platform, "redrive", reader, "--all", "--to-topic", elsewhere, "--yes")
    assert (done.returncode, done.stdout) == (1, "1 dead letter redriven\n")
    assert done.stderr.startswith("error: 1 skipped, the first (")
    assert "maxBacklog" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "nowhere"), "error: there is no subscription 'nowhere'"),
        (("list", "nowhere", "--topic"), "error: there is no topic 'nowhere'"),
        (("show", "untouched", "x"), "error: "),
        (("redrive", "untouched"), "error: say which are meant"),
        (("redrive", "untouched", "x", "--all"), "error: say which are meant"),
        (("discard", "untouched", "--all", "--key", "k"), "error: say which are meant"),
        (("redrive", "untouched", "x", "-d", "hello"), "error: --data is not JSON"),
        (("redrive", "untouched", "--all", "-d", "1", "-y"), "error: "),
    ],
)
def test_an_error_is_one_line_and_exit_1(platform: Platform, arguments: tuple[str, ...], words: str) -> None:
    done = deadletters(platform, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
