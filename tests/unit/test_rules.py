"""What is wrong between manifests that are each right."""

from pathlib import Path

import pytest
from trees import DIGESTS, checked, manifest, together

TENANTS = together(*(manifest("Tenant", name) for name in ("acme", "globex", "acme-eu")))
ORDERS = manifest("Topic", "orders")
PUBLIC = manifest("Topic", "news", "{public: true}", "globex")
PRIVATE = manifest("Topic", "plans", "{}", "globex")


def told(directory: Path, *documents: str) -> list[str]:
    files = {"tenants.yaml": TENANTS, "z.yaml": together(*documents)}
    return [str(problem).removeprefix("z.yaml:") for problem in checked(directory, files).problems]


def subscription(name: str, topic: str, rest: str = "", tenant: str = "acme") -> str:
    return manifest("Subscription", name, f"{{topic: {topic}{rest}}}", tenant)


def credential(name: str, *digests: str) -> str:
    keys = ", ".join(f"{{sha256: {digest}}}" for digest in digests)
    return manifest("Credential", name, f"{{principal: {name}, keys: [{keys}]}}")


def handler(env: str, tenant: str = "acme") -> str:
    spec = f"{{type: http, http: {{url: http://x, signingSecret: {{env: {env}}}}}}}"
    return manifest("Handler", "hook", spec, tenant)


def annotated(document: str) -> str:
    return document.replace("metadata: {", "metadata: {annotations: {mqops/internal-api: user-events}, ")


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([ORDERS, ORDERS], "8:32: metadata.name: Topic acme/orders is declared twice; the first is at z.yaml:1"),
        (
            [ORDERS, manifest("Queue", "orders")],
            "8:32: metadata.name: Topic acme/orders at z.yaml:1 has this name, and topics and queues share their names",
        ),
        ([manifest("Tenant", "acme")], "3:18: metadata.name: Tenant acme is declared twice; the first is at tenants"),
        ([manifest("Topic", "a", tenant="globx")], "3:20: metadata.tenant: there is no Tenant globx; did you mean g"),
        (
            [ORDERS, manifest("Handler", "hook", "{type: http, http: {url: http://x}}"),
             subscription("s", "orders", ", handler: hok")],
            "14:32: spec.handler: acme has no Handler hok; did you mean hook?",
        ),
        ([ORDERS, subscription("s", "ordrs")], "9:15: spec.topic: acme has no Topic ordrs; did you mean orders?"),
        (
            [manifest("Queue", "jobs"), subscription("s", "jobs")],
            "9:15: spec.topic: jobs is a Queue, which has the one subscription it implies: declare a Topic instead",
        ),
        (
            [PUBLIC, subscription("s", "globex/newz")],
            "9:15: spec.topic: there is no topic globex/newz that acme may read; did you mean globex/news?",
        ),
        (
            [annotated(ORDERS)],
            '3:46: metadata.annotations["mqops/internal-api"]: the internal API publishes to topics and queues of the',
        ),
        (
            [manifest("Tenant", "system"), annotated(manifest("Topic", "one", tenant="system")),
             annotated(manifest("Queue", "two", tenant="system"))],
            '13:46: metadata.annotations["mqops/internal-api"]: /internal/mq/user-events publishes to Topic system/one',
        ),
        (
            [PRIVATE, subscription("s", "globex/plans")],
            "9:15: spec.topic: there is no topic globex/plans that acme may read",
        ),
        (
            [ORDERS, manifest("Queue", "jobs"), subscription("jobs", "orders")],
            "13:32: metadata.name: Queue acme/jobs implies a Subscription of this name: choose another",
        ),
        (
            [ORDERS, subscription("s", "orders", ", deadLetter: orders")],
            "9:35: spec.deadLetter: orders is what this reads: dead letters go to another topic",
        ),
        (
            [ORDERS, subscription("s", "acme/orders", ", deadLetter: orders")],
            "9:40: spec.deadLetter: orders is what this reads",
        ),
        (
            [ORDERS, manifest("Queue", "jobs"), subscription("s", "orders", ", deadLetter: jobs")],
            "14:35: spec.deadLetter: jobs is a Queue, and dead letters go to a Topic: name another",
        ),
        (
            [ORDERS, manifest("Queue", "orders.deadletter"), subscription("s", "orders")],
            "14:7: spec.deadLetter: orders.deadletter is a Queue, and dead letters go to a Topic: name another",
        ),
        ([manifest("Queue", "jobs", "{deadLetter: jobs}")], "4:20: spec.deadLetter: jobs is what this reads"),
        (
            [ORDERS, subscription("s", "orders"), subscription("t", "orders.deadletter", ", deadLetter: more")],
            "14:46: spec.deadLetter: orders.deadletter takes dead letters, and what fails there has none of its own",
        ),
        ([manifest("Queue", "q" * 195)], f"4:7: spec.deadLetter: {'q' * 195}.deadletter would be longer than 200"),
        (
            [credential("a", DIGESTS[0]), credential("b", DIGESTS[1], DIGESTS[0])],
            "9:114: spec.keys[1].sha256: the same key is in Credential acme/a at z.yaml:1: make a new one",
        ),
        ([credential("a", DIGESTS[0], DIGESTS[0])], "4:114: spec.keys[1].sha256: the same key is in this Credential"),
        (
            [handler("MQOPS_GLOBEX_KEY")],
            "4:63: spec.http.signingSecret.env: acme may use the environment variables MQOPS_ACME_… only",
        ),
        ([handler("MQOPS_ACME_EU_KEY")], "4:63: spec.http.signingSecret.env: MQOPS_ACME_EU_KEY may be another"),
    ],
)  # fmt: skip
def test_each_rule(tmp_path: Path, documents: list[str], expected: str) -> None:
    [problem] = told(tmp_path, *documents)
    assert problem.startswith(expected)
    assert ("did you mean" in problem) == ("did you mean" in expected)


@pytest.mark.parametrize(
    "documents",
    [
        [ORDERS, manifest("Topic", "orders", tenant="globex")],
        [ORDERS, manifest("Subscription", "orders", "{topic: orders}")],
        [PUBLIC, subscription("s", "globex/news")],
        [ORDERS, subscription("s", "acme/orders")],
        [ORDERS, subscription("s", "orders"), subscription("alerts", "orders.deadletter")],
        [manifest("Queue", "jobs"), subscription("alerts", "jobs.deadletter")],
        [handler("MQOPS_ACME_KEY"), handler("MQOPS_ACME_EU_KEY", "acme-eu")],
        [credential("a", DIGESTS[0], DIGESTS[1]), credential("b", DIGESTS[2])],
        [manifest("Tenant", "system"), manifest("Topic", "audit", tenant="system")],
    ],
)
def test_what_is_allowed(tmp_path: Path, documents: list[str]) -> None:
    assert told(tmp_path, *documents) == []


def test_a_missing_foreign_topic_reads_like_a_private_one(tmp_path: Path) -> None:
    [private] = told(tmp_path / "a", PRIVATE, subscription("s", "globex/plans"))
    [missing] = told(tmp_path / "b", manifest("Topic", "other", "{}", "globex"), subscription("s", "globex/plans"))
    assert private == missing


@pytest.mark.parametrize(
    "broken",
    [
        manifest("Topic", "orders", "{partitionz: 3}"),
        manifest("Topic", "orders").replace("kind: Topic", "kind: Topik"),
        manifest("Topic", "orders", "{description: [}"),
        "\t\n" + ORDERS,
        b"#" * 5_000_000,
    ],
)
def test_what_could_not_be_read_is_not_said_to_be_missing(tmp_path: Path, broken: str | bytes) -> None:
    files = {"tenants.yaml": TENANTS, "broken.yaml": broken, "s.yaml": subscription("s", "orders")}
    assert {problem.file for problem in checked(tmp_path, files).problems} == {"broken.yaml"}


def test_a_broken_document_does_not_hide_what_is_missing_elsewhere(tmp_path: Path) -> None:
    files = {"tenants.yaml": TENANTS, "broken.yaml": "a: [", "s.yaml": subscription("s", "orders")}
    assert {problem.file for problem in checked(tmp_path, files).problems} == {"broken.yaml", "s.yaml"}


def test_a_thousand_wrong_references_are_all_told_within_seconds(tmp_path: Path) -> None:
    topics = [manifest("Topic", f"topic-{number}") for number in range(1000)]
    readers = [subscription(f"s{number}", f"topik-{number}") for number in range(1000)]
    found = told(tmp_path, *topics, *readers)
    assert len(found) == 1000
    assert found[0].endswith("; did you mean topic-0?")


def renamed(kind: str, name: str, former: str) -> str:
    return manifest(kind, name).replace(f"name: {name}", f"name: {name}, renamedFrom: {former}")


def test_nothing_is_renamed_from_its_own_name_and_no_two_from_one(tmp_path: Path) -> None:
    orders, views, seen = renamed("Topic", "orders", "orders"), renamed("Topic", "views", "x"), manifest("Handler", "x")
    spec = "{type: http, http: {url: http://x}}"
    others = renamed("Topic", "clicks", "x"), renamed("Tenant", "hooli", "acme"), seen.replace("{}", spec)
    own, taken = told(tmp_path, orders, views, *others)
    way_out = "leave renamedFrom out, or say what it was called before"
    assert own == f"3:53: metadata.renamedFrom: Topic acme/orders has this name: {way_out}"
    assert taken.endswith("Topic acme/views at z.yaml:6 is renamed from x too: only one of them was it")


def test_a_source_has_no_former_name(tmp_path: Path) -> None:
    files = {"sources.yaml": renamed("Source", "a", "b").replace("{}", "{path: a}"), "a/x.yaml": TENANTS}
    (problem,) = checked(tmp_path, files).problems
    assert "metadata.renamedFrom: there is no such field" in str(problem)
