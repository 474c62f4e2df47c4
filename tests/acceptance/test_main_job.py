"""The main job, with the commands that a newcomer runs: up, paste, listen, plan, edit, pull; and broken input."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import call
from running import Platform
from standardwebhooks import Webhook
from waiting import eventually

pytestmark = pytest.mark.acceptance

MANIFESTS = Path(__file__).parents[2] / "manifests"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("checkout")
    shutil.copytree(MANIFESTS, directory / "manifests")
    with Platform(directory) as platform:
        yield platform


def headers(platform: Platform) -> dict[str, str]:
    key = (platform.directory / ".mqops" / "credential").read_text().strip()
    return {"Authorization": f"Bearer {key}", "X-Mqops-Tenant": "acme"}


def test_the_pasted_line_reaches_listen_with_a_signature_that_verifies(platform: Platform) -> None:
    assert platform.up is not None
    pasted = platform.up.wait_for("curl ").strip()
    listener = platform.listen()
    try:
        answer = subprocess.run(
            ["bash", "-c", pasted], cwd=platform.directory, capture_output=True, text=True, check=True, timeout=20
        ).stdout
        [message_id] = json.loads(answer)["messageIds"]
        received = json.loads(listener.wait_for(message_id, 20))
    finally:
        assert listener.stop() == 0
    assert received["verified"]
    secret = (platform.directory / ".mqops" / "secrets" / "acme" / "billing-webhook").read_text().strip()
    payload = Webhook(secret).verify(received["body"], received["headers"])
    assert payload == json.loads(re.search(r"-d '(.*)'", pasted)[1])["messages"][0]["payload"]  # type: ignore[index]
    assert received["headers"]["webhook-id"] == message_id


def test_a_filtered_message_is_not_delivered(platform: Platform) -> None:
    listener = platform.listen()
    try:
        url = f"{platform.url}/api/v1/mq/topics/orders/publish"
        status, passed_by = call(url, {"payload": {"total": 1.0}, "headers": {"region": "eu"}}, headers(platform))
        assert status == 200
        status, delivered = call(url, {"payload": {"total": 5000.0}, "headers": {"region": "eu"}}, headers(platform))
        assert status == 200
        listener.wait_for(delivered["messageIds"][0], 20)
        assert passed_by["messageIds"][0] not in listener.output
    finally:
        listener.stop()


def test_a_queue_is_pulled_and_settled(platform: Platform) -> None:
    published = platform.run("publish", "--queue", "fulfilment", "--tenant", "acme", "--data", '{"order": "order-1"}')
    assert published.returncode == 0, published.stderr
    pulled = platform.run("pull", "--queue", "fulfilment", "--tenant", "acme", "--ack")
    assert pulled.returncode == 0, pulled.stderr
    assert "order-1" in pulled.stdout
    again = platform.run("pull", "--queue", "fulfilment", "--tenant", "acme", "--ack")
    assert "order-1" not in again.stdout


def test_a_plan_is_empty_after_up_and_shows_an_edit_with_its_place(platform: Platform) -> None:
    quiet = platform.run("plan", "manifests")
    assert quiet.returncode == 0, quiet.stderr
    assert "No changes" in quiet.stdout
    edited = platform.directory / "edited"
    shutil.copytree(platform.directory / "manifests", edited)
    file, line = _replace(edited, "retention: ", "retention: 36h")
    shown = platform.run("plan", "edited", "--detailed-exitcode")
    shutil.rmtree(edited)
    assert shown.returncode == 2, shown.stderr
    assert "1 to update" in shown.stdout
    assert f"{file}:{line}" in shown.stdout
    assert re.search(r"retention.*→.*36h", shown.stdout), shown.stdout


def _replace(tree: Path, beginning: str, replacement: str) -> tuple[str, int]:
    """Replaces the first line of acme's orders that begins so; answers its file and the line its resource starts at."""
    for path in sorted(tree.rglob("*.yaml")):
        text = path.read_text()
        documents = re.split(r"^---$", text, flags=re.MULTILINE)
        for document in documents:
            if "kind: Topic" in document and "name: orders\n" in document and "tenant: acme" in document:
                changed = re.sub(
                    rf"^(\s*){beginning}.*$", rf"\g<1>{replacement}", document, count=1, flags=re.MULTILINE
                )
                assert changed != document
                path.write_text(text.replace(document, changed))
                start = text.index(document)
                line = text[:start].count("\n") + document[: document.index("apiVersion")].count("\n") + 1
                return str(path.relative_to(tree)), line
    raise AssertionError("acme's orders are not in the manifests")


def test_a_saved_edit_is_applied_and_soon_known_to_the_data_plane(platform: Platform) -> None:
    added = platform.directory / "manifests" / "shops" / "acme" / "added.yaml"
    added.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    added.write_text("apiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: returns}\nspec: {}\n")
    url = f"{platform.url}/api/v1/mq/topics/returns/publish"
    eventually(lambda: call(url, {"payload": 1}, headers(platform))[0] == 200, "publishing to the new topic")
    assert time.monotonic() - started < 10
    added.write_text(
        "apiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: returns}\nspec: {state: pausd}\n"
    )
    assert platform.up is not None
    assert "added.yaml:4" in platform.up.wait_for("did you mean", 20)
    assert call(url, {"payload": 1}, headers(platform))[0] == 200, "the last good state stays"
    added.unlink()
    platform.up.wait_for("pass --allow-data-loss", 20)
    assert call(url, {"payload": 1}, headers(platform))[0] == 200, "what holds messages is not deleted unasked"
    deleted = platform.run("apply", "manifests", "--auto-approve", "--allow-data-loss")
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
    eventually(lambda: call(url, {"payload": 1}, headers(platform))[0] == 404, "the topic to be gone")


def _alias_bomb() -> bytes:
    """Nine levels of nine references each: 387 million values in some 300 bytes."""
    levels = [b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))]
    return b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(levels)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"apiVersion: mqops/v1\nkind: Topic\nmetadata: {tenant: acme, name: a}\nspec: {partitionz: 2}\n", ":4:8"),
        (b"apiVersion: mqops/v1\nkind: Tenant\nmetadata:\n\tname: a\nspec: {}\n", ":4:"),
        (b"apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: a}\nspec: {description: x, description: y}\n", ":4:"),
        (b"apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: acme}\nspec: {}\n", "bad.yaml:1"),
        (b"apiVersion: mqops/v1\nkind: Subscription\nmetadata: {tenant: acme, name: s}\nspec: {topic: ordrs}\n", ":4:"),
        (_alias_bomb(), "bad.yaml:"),
        (b"#" * 20_000_000, "bad.yaml"),
        (b"apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: \xff\xfe}\nspec: {}\n", ":3:"),
    ],
    ids=["typo", "tab", "duplicate key", "duplicate name", "missing reference", "alias bomb", "20 MB", "not UTF-8"],
)  # fmt: skip
def test_bad_manifests_are_refused_with_their_place(platform: Platform, content: bytes, place: str) -> None:
    tree = platform.directory / "broken"
    shutil.copytree(MANIFESTS, tree)
    (tree / "shops" / "acme" / "bad.yaml").write_bytes(content)
    started = time.monotonic()
    applied = platform.run("apply", "broken", "--auto-approve")
    shutil.rmtree(tree)
    assert applied.returncode == 1
    assert "bad.yaml" in applied.stderr
    assert place in applied.stderr
    assert time.monotonic() - started < 20
    assert "No changes" in platform.run("plan", "manifests").stdout


def test_bad_publishes_store_nothing_and_say_why(platform: Platform) -> None:
    orders = f"{platform.url}/api/v1/mq/topics/orders/publish"
    mine = headers(platform)
    assert call(orders, b"{broken", mine)[1]["code"] == "SERIALIZATION_ERROR"
    assert call(orders, {"payload": 1}, {})[0] == 401
    assert call(orders, {"payload": 1}, {"Authorization": "Bearer wrong"})[1]["code"] == "UNAUTHENTICATED"
    status, unknown = call(orders.replace("orders", "orderz"), {"payload": 1}, mine)
    assert (status, unknown["code"]) == (404, "TOPIC_NOT_FOUND")
    status, too_large = call(orders, {"payload": "x" * 1_100_000}, mine)
    assert (status, too_large["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_another_tenants_topic_looks_like_one_that_does_not_exist(platform: Platform) -> None:
    created = platform.run("credentials", "create", "globex", "prober", "-o", "json")
    assert created.returncode == 0, created.stderr
    credential = json.loads(created.stdout)
    file = platform.directory / "manifests" / "shops" / "globex" / "prober.yaml"
    file.write_text(credential["manifest"])
    mine = {"Authorization": f"Bearer {credential['key']}"}
    hidden = f"{platform.url}/api/v1/mq/topics/orders.deadletter/publish"
    absent = f"{platform.url}/api/v1/mq/topics/nothing-here/publish"
    eventually(lambda: call(absent, {"payload": 1}, mine)[0] == 404, "the credential to be known")
    time.sleep(1)  # every process knows it within a second of the first
    status, body = call(hidden, {"payload": 1}, mine)
    expected_status, expected = call(absent, {"payload": 1}, mine)
    assert status == expected_status == 404
    assert json.dumps(body) == json.dumps(expected).replace("nothing-here", "orders.deadletter")
    file.unlink()


def test_what_was_destroyed_is_put_back_where_it_left_off(platform: Platform) -> None:
    for name in ("one", "two"):
        platform.run("publish", "--queue", "fulfilment", "--tenant", "acme", "--data", json.dumps({"order": name}))
    assert '"one"' in platform.run("pull", "--queue", "fulfilment", "--tenant", "acme", "--max", "1", "--ack").stdout
    from redis import Redis

    record = json.loads((platform.directory / ".mqops" / "run.json").read_text())
    with Redis.from_url(record["environment"]["REDIS_URL"]) as client:
        for stream in client.scan_iter("mq:*:s"):
            for group in client.xinfo_groups(stream):
                client.xgroup_destroy(stream, group["name"])
    pulled = eventually(
        lambda: (
            '"two"' in (out := platform.run("pull", "--queue", "fulfilment", "--tenant", "acme", "--ack").stdout)
            and out
        ),
        "the queue to be repaired",
    )
    assert '"one"' not in pulled


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    platform = Platform(tmp_path)
    platform.start()
    assert platform.up is not None
    assert platform.up.stop(signal.SIGINT) == 0
    assert platform.processes_here() == []
