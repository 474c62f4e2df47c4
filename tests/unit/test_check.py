"""The front as a whole: every problem of every file at once, in order, and the example manifests."""

import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import checked, manifest, together, tree

from mqops.expressions import compile_filter
from mqops.model import Identity
from mqops.settings import Settings
from reconciler.manifests.authority import authority_of
from reconciler.manifests.check import check, findings, read_contents
from reconciler.manifests.earlier import JUDGED_BY, Earlier
from reconciler.manifests.rules import Declarations
from reconciler.manifests.source import find

MANIFESTS = Path(__file__).parents[2] / "manifests"


def test_all_problems_of_all_files_are_told_in_order_each_once(tmp_path: Path) -> None:
    result = checked(
        tmp_path,
        {
            "b/syntax.yaml": "a: [1",
            "a.yaml": together(manifest("Tenant", "acme"), manifest("Topic", "x", "{partitionz: 1, state: of}")),
            "c.yaml": together(manifest("Topic", "y", tenant="acmee"), manifest("Subscription", "s", "{topic: none}")),
            "d.YML": "",
        },
    )
    assert [str(problem) for problem in result.problems] == [
        "a.yaml:9:8: spec.partitionz: there is no such field; did you mean partitions?",
        'a.yaml:9:30: spec.state: "of" is not one of active, paused, archived',
        "b/syntax.yaml:1:4: a list opened with [ is not closed with ]",
        "c.yaml:3:20: metadata.tenant: there is no Tenant acmee; did you mean acme?",
        "c.yaml:9:15: spec.topic: acme has no Topic none",
        "d.YML: manifests' names end in .yaml or .yml, in lower case: rename it",
    ]
    assert result.problems[0].render("manifests/shops").startswith("manifests/shops/a.yaml:9:8: spec.partitionz: ")
    assert (result.files, result.declared, result.resources) == (3, 3, ())


def test_what_a_manifest_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    result = checked(tmp_path, {"a.yaml": manifest("Topic", '"a\\e[31m\\u202e\\nb"')})
    [problem] = [problem for problem in result.problems if problem.path == "metadata.name"]
    assert '"a\\x1b[31m\\u202e\\nb" is not a name' in str(problem)


def test_the_example_manifests_are_right_and_are_the_owners_platform() -> None:
    result = check(MANIFESTS, Settings())
    assert [str(problem) for problem in result.problems] == []
    assert {name: spec.tenants for name, spec in result.sources.items()} == {
        "platform": ("system",),
        "shops": ("acme", "globex"),
    }
    found = {resource.identity: resource for resource in result.resources}
    urls = {
        identity.name: resource.spec["http"]["url"]
        for identity, resource in found.items()
        if identity.kind == "Handler"
    }
    assert urls == {
        "audit-service": "http://audit-service:3008/internal/audit-logs",
        "billing-webhook": "http://127.0.0.1:3011/hooks/orders",
        "notification-service": "http://notification-service:3005/internal/notifications",
        "shipping-webhook": "http://127.0.0.1:3011/hooks/purchases",
        "user-service": "http://user-management-service:3003/internal/events",
    }
    for topic in ("user-events", "user-notifications", "audit-logs"):
        readers = [
            resource
            for identity, resource in found.items()
            if identity.tenant == "system" and resource.spec.get("topic") == topic and resource.spec["handler"]
        ]
        assert len(readers) == 1
    assert found[Identity("Subscription", "acme", "orders-alerts")].spec["deadLetter"] is None
    assert found[Identity("Queue", "acme", "fulfilment")].spec["deadLetter"] == "fulfilment.deadletter"


def test_the_example_filter_passes_large_orders_only() -> None:
    resources = {resource.identity: resource for resource in check(MANIFESTS, Settings()).resources}
    billing = compile_filter(resources[Identity("Subscription", "acme", "billing")].spec["filter"])
    for total, region, expected in (
        (150.0, "eu", True),
        (1.0, "eu", False),
        (5000, "us", True),
        (150.0, "mars", False),
    ):
        found = billing.matches(payload={"total": total}, headers={"region": region}, key=None, topic="orders")
        assert found is expected


def test_no_key_of_the_examples_is_one_that_anybody_wrote_down() -> None:
    text = "".join(path.read_text() for path in MANIFESTS.rglob("*.yaml"))
    assert "mqk_" not in text
    for guess in ("", "secret", "password", "changeme", "mqk_", "checkout", "acme"):
        assert hashlib.sha256(guess.encode()).hexdigest() not in text


FILES = st.dictionaries(
    st.sampled_from(["a.yaml", "b/c.yml", "sources.yaml", "d.txt", ".e.yaml", "f/g/h.yaml"]),
    st.one_of(
        st.text(),
        st.lists(st.sampled_from([manifest("Tenant", "acme"), manifest("Topic", "x"), manifest("Queue", "x"), "---\n",
                                  manifest("Source", "s", "{path: b}"), manifest("Subscription", "y", "{topic: x}"),
                                  "\t", "a: [", "}", "spec: {zzz: 1}\n", "kind: Topic\n", "# c\n"])).map("".join),
    ),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
def test_whatever_lies_in_the_directory_is_checked_without_a_crash(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]
) -> None:
    directory = tmp_path_factory.mktemp("tree")
    result = checked(directory, {name: text.encode("utf-8", "replace") for name, text in files.items()})
    assert bool(result.resources) is (not result.problems and bool(result.declared))
    assert list(result.problems) == sorted(set(result.problems))


SAID = [
    manifest("Tenant", "acme"),
    manifest("Topic", "x"),
    manifest("Topic", "x", "{retention: 3d}"),
    manifest("Topic", "x.deadletter"),
    manifest("Queue", "y"),
    manifest("Queue", "y", "{deadLetter: x}"),
    manifest("Subscription", "z", "{topic: x}"),
    manifest("Subscription", "z", "{topic: x, deadLetter: w}"),
    manifest("Subscription", "u", "{topic: w}"),
    manifest("Topic", "w"),
    manifest("Source", "s", "{path: b}"),
    "a: [",
]
EDITS = st.lists(
    st.dictionaries(
        st.sampled_from(["a.yaml", "b/c.yaml", "sources.yaml"]),
        st.lists(st.sampled_from(SAID)).map(lambda it: together(*it)),
    ),
    min_size=2,
    max_size=5,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_what_an_earlier_reading_left_over_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, edits: list[dict[str, str]]
) -> None:
    directory, earlier = tmp_path_factory.mktemp("tree"), Earlier()
    for files in edits:
        for old in directory.rglob("*.yaml"):
            old.unlink()
        tree(directory, files)
        assert check(directory, Settings(), earlier) == check(directory, Settings())


def logs(name: str, annotations: str) -> str:
    text = manifest("Topic", name, tenant="system")
    return text.replace(f"name: {name}", f"name: {name}, annotations: {annotations}")


PLACES = (
    [manifest("Tenant", "acme")],
    [manifest("Topic", "x", spec) for spec in ("{public: true}", "{public: true, retention: 3d}", "{}")],
    [together(manifest("Tenant", "globex"), manifest("Subscription", "s", "{topic: acme/x}", "globex"))],
    [manifest("Topic", "w", spec) for spec in ("{}", "{partitions: 3}")],
    [manifest("Queue", "y", spec) for spec in ("{}", "{deadLetter: w}", "{partitions: 2}")],
    [
        manifest("Subscription", "z", spec)
        for spec in ("{topic: x}", "{topic: x, concurrency: 3}", "{topic: w}", "{topic: x, deadLetter: w}",
                     "{topic: none}", "{topic: w, deadLetter: w}")
    ],
    ["", manifest("Handler", "h", "{http: {url: 'https://a.example/b'}}")],
    [together(manifest("Tenant", "system"), logs("logs", "{mqops/internal-api: audit-logs}"))],
    [logs("more", annotations) for annotations in ("{}", "{a: b}", "{mqops/internal-api: audit-logs}")],
)  # fmt: skip
"""What stands in a file each, and what may be made of it."""

SAVES = st.lists(
    st.integers(0, len(PLACES) - 1).flatmap(lambda place: st.tuples(st.just(place), st.sampled_from(PLACES[place]))),
    min_size=2,
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SAVES)
def test_what_obeyed_the_rules_is_judged_anew_where_they_may_come_to_something_else(
    tmp_path_factory: pytest.TempPathFactory, saves: list[tuple[int, str]]
) -> None:
    """One file is saved after the other, as somebody does who works on them."""
    directory, earlier = tmp_path_factory.mktemp("tree"), Earlier()
    tree(directory, {f"{place}.yaml": forms[0] for place, forms in enumerate(PLACES)})
    assert not check(directory, Settings(), earlier).problems
    for place, text in saves:
        tree(directory, {f"{place}.yaml": text})
        assert check(directory, Settings(), earlier) == check(directory, Settings())


class Asked:
    """A spec that notes which of its fields somebody looks at."""

    def __init__(self, spec: Any, fields: set[str]) -> None:
        self._spec, self._fields = spec, fields

    def __getattr__(self, name: str) -> Any:
        self._fields.add(name)
        return getattr(self._spec, name)


def test_the_rules_judge_by_no_other_fields_than_those_that_are_compared(tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path, dirs_exist_ok=True)
    shared = (
        manifest("Topic", "shared", "{public: true}"),
        manifest("Subscription", "s", "{topic: acme/shared}", "globex"),
    )
    tree(tmp_path, {"shops/shared.yaml": together(*shared)})
    found = find(tmp_path)
    asked: dict[str, set[str]] = {kind: set() for kind in JUDGED_BY}
    declared = [
        replace(one, spec=Asked(one.spec, asked[kind])) if (kind := one.identity.kind) in JUDGED_BY else one
        for one in read_contents(found, Settings().manifest_variables).declared
    ]
    authority = authority_of(declared, found.files)
    assert list(findings(found, Declarations(declared), authority)) == []
    assert asked == {kind: set(fields) for kind, fields in JUDGED_BY.items()}


def test_what_did_not_change_is_the_very_same_as_in_an_earlier_reading(tmp_path: Path) -> None:
    earlier = Earlier()
    tree(tmp_path, {"a.yaml": together(*SAID[:2]), "b.yaml": SAID[6]})
    before = check(tmp_path, Settings(), earlier).resources
    tree(tmp_path, {"b.yaml": manifest("Subscription", "z", "{topic: x, concurrency: 9}")})
    after = check(tmp_path, Settings(), earlier).resources
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, True, False, False]


def test_forty_thousand_resources_are_checked_within_seconds(tmp_path: Path) -> None:
    def tenant(number: int) -> str:
        name = f"t{number}"
        topics = [
            manifest("Topic", f"topic-{index}", "{partitions: 4, retention: 7d}", name)
            + "---\n"
            + manifest("Subscription", f"s-{index}", f"{{topic: topic-{index}, filter: payload.x > {index}}}", name)
            for index in range(200)
        ]
        return together(manifest("Tenant", name), *topics)

    files = {f"t{number}.yaml": tenant(number) for number in range(100)}
    started = time.process_time()
    result = checked(tmp_path, files)
    assert (result.declared, len(result.resources)) == (40_100, 60_100)
    assert time.process_time() - started < 20
