"""``POST /plans``: manifests that the caller has, planned by the server against what it has."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from databases import away
from governed import Governed, changes, problems, refused
from served import Answer
from trees import manifest, together

ACME = "shops/acme.yaml"


def without(text: str, kind: str, name: str) -> str:
    """``text`` less one document."""
    documents = [one for one in text.split("---\n") if f"kind: {kind}\n" not in one or f"name: {name}}}" not in one]
    return together(*documents)


# The whole tree


def test_a_whole_tree_is_planned_as_on_the_command_line(governed: Governed) -> None:
    answer = governed.plan("system", governed.files)
    assert (answer.status, changes(answer), answer.body["held"], answer.body["heldBack"]) == (200, [], [], 0)
    edited = {
        **governed.files,
        ACME: governed.files[ACME].replace("partitions: 2", "partitions: 3"),
        "shops/more.yaml": manifest("Topic", "more", tenant="globex"),
    }
    answer = governed.plan("system", edited)
    assert changes(answer) == ["update Topic acme/orders", "create Topic globex/more"]
    [updated, created] = answer.body["plan"]["resource_changes"]
    assert (updated["file"], updated["line"]) == (ACME, 21)
    assert updated["fields"] == [{"path": "spec.partitions", "before": 2, "after": 3}]
    assert (created["file"], created["line"], created["managed_by"]) == ("shops/more.yaml", 1, "shops")
    assert changes(governed.plan("system", governed.files)) == []


def test_every_role_that_may_plan_does_and_no_other(governed: Governed) -> None:
    assert governed.of("system", "admin").post("/plans", {"files": dict(governed.files)}).status == 200
    assert governed.of("acme", "admin").post("/plans", {"files": {ACME: governed.files[ACME]}}).status == 200
    assert governed.client.post("/plans", {"files": {}}).status == 401


def test_what_stops_a_change_is_told_and_let_through_on_request(governed: Governed) -> None:
    fewer = {name: text for name, text in governed.files.items() if "initech" not in name}
    stopped = [("delete Topic initech/offers", "tenant_active"), ("delete Tenant initech", "tenant_active")]
    assert refused(governed.plan("system", fewer)) == stopped
    many = {**governed.files, "shops/more.yaml": together(*(manifest("Topic", f"t-{n}") for n in range(20)))}
    governed.apply(many)
    assert len(refused(governed.plan("system", governed.files))) == 20
    assert len(changes(governed.plan("system", governed.files, allowMassDelete=[20]))) == 20
    nothing = {"sources.yaml": governed.files["sources.yaml"]}
    assert problems(governed.plan("system", nothing)) == [
        "sources.yaml:4 spec.path: there is no folder platform beside sources.yaml",
        "sources.yaml:9 spec.path: there is no folder shops beside sources.yaml",
    ]
    assert problems(governed.plan("system", {})) == [":0 : no manifests here"]


def test_a_plan_is_limited_as_on_the_command_line(governed: Governed) -> None:
    edited = {ACME: governed.files[ACME] + "---\n" + manifest("Topic", "more") + "---\n" + manifest("Topic", "most")}
    whole = {**governed.files, **edited}
    answer = governed.plan("system", whole, targets=["topic/acme/more"])
    assert changes(answer) == ["create Topic acme/more"]
    assert [one["name"] for one in answer.body["plan"]["outside"]] == ["most"]
    assert changes(governed.plan("system", whole, labels={"team": "a"})) == []
    assert changes(governed.plan("system", whole, refreshOnly=True)) == []
    answer = governed.plan("system", whole, targets=["topic/acme/moer"])
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "did you mean Topic acme/more?" in answer.body["message"]
    answer = governed.plan("system", governed.files, takeOver=["shops"])
    assert answer.body["message"] == "source 'shops' is declared here: there is nothing to take over"


# What is wrong


def test_every_problem_has_its_place_and_what_was_probably_meant(governed: Governed) -> None:
    wrong = {
        **governed.files,
        "shops/acme/x.yaml": manifest("Topic", "x", "{partitons: 2}") + "---\n" + manifest("Topic", "y", "{state: of}"),
        "shops/broken.yaml": "a: [1",
    }
    answer = governed.plan("system", wrong)
    assert problems(answer) == [
        "shops/acme/x.yaml:4 spec.partitons: there is no such field",
        'shops/acme/x.yaml:9 spec.state: "of" is not one of active, paused, archived',
        "shops/broken.yaml:1 : a list opened with [ is not closed with ]",
    ]
    first = answer.body["details"]["problems"][0]
    assert (first["column"], first["rule"], first["suggestion"]) == (8, "field", "partitions")
    assert answer.body["message"].startswith("3 problems in the manifests: shops/acme/x.yaml:4:8: spec.partitons")


@pytest.mark.parametrize("name", ["", "/x.yaml", "a/../b.yaml", ".hidden.yaml", "a//b.yaml", "a\nb.yaml", "n" * 2000])
def test_what_cannot_be_the_name_of_a_manifest_is_refused(governed: Governed, name: str) -> None:
    answer = governed.plan("system", {**governed.files, name: ""})
    [problem] = answer.body["details"]["problems"]
    assert problem["message"].startswith("not the name of a manifest")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": {"a.yaml": 7}},
        {"files": {}, "colour": "red"},
        {"files": {}, "targets": ["orders"]},
        {"files": {}, "targets": ["topic/orders"]},
        {"files": {}, "targets": ["tenant/a/b"]},
        {"files": {}, "unprotect": ["topic//x"]},
        {"files": {}, "allowMassDelete": [0]},
        {"files": {}, "takeOver": ["x"], "source": "shops"},
    ],
)
def test_a_body_that_asks_for_no_plan_is_refused(governed: Governed, body: object) -> None:
    answer = governed.of("system").post("/plans", body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST"), answer


def test_parameters_mean_nothing_and_are_refused(governed: Governed) -> None:
    assert governed.of("system").post("/plans?apply=true", {"files": dict(governed.files)}).status == 400


def test_a_body_beyond_the_limit_is_refused(governed: Governed) -> None:
    answer = governed.plan("system", {"a.yaml": "x" * 11 * 1024**2})
    assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")


# One Source


def test_one_source_is_planned_beside_what_is_applied_of_the_others(governed: Governed) -> None:
    own = {name: text for name, text in governed.files.items() if name.startswith("shops/")}
    answer = governed.plan("system", own, source="shops")
    assert changes(answer) == []
    assert answer.body["plan"]["others"] == 5
    fewer = {**own, ACME: without(own[ACME], "Subscription", "billing")}
    assert changes(governed.plan("system", fewer, source="shops")) == [
        "delete Subscription acme/billing",
        "delete Topic acme/orders.deadletter",
    ]
    reading = {
        "platform/system.yaml": governed.files["platform/system.yaml"]
        + "---\n"
        + manifest("Subscription", "watch", "{topic: initech/offers}", tenant="system")
    }
    assert changes(governed.plan("system", reading, source="platform")) == [
        "create Topic system/offers.deadletter",
        "create Subscription system/watch",
    ]


def test_a_named_source_may_declare_what_it_may_and_nothing_else(governed: Governed) -> None:
    own = {name: text for name, text in governed.files.items() if name.startswith("shops/")}
    assert problems(governed.plan("system", governed.files, source="shops")) == [
        "platform/system.yaml:0 : lies outside of shops, the folder of Source shops: leave it out",
        "sources.yaml:0 : lies outside of shops, the folder of Source shops: leave it out",
        "sources.yaml:2 kind: Sources are declared in sources.yaml, which is no part of a Source: leave it out",
        "sources.yaml:7 kind: Sources are declared in sources.yaml, which is no part of a Source: leave it out",
    ]
    widened = {**own, "shops/sources.yaml": manifest("Source", "shops", "{path: shops}")}
    assert problems(governed.plan("system", widened, source="shops")) == [
        "shops/sources.yaml:2 kind: Sources are declared in sources.yaml, which is no part of a Source: leave it out"
    ]
    foreign = {**own, "shops/x.yaml": manifest("Topic", "x", tenant="system")}
    [problem] = problems(governed.plan("system", foreign, source="shops"))
    assert problem.startswith(
        "shops/x.yaml:3 metadata.tenant: Source shops may declare things of acme, globex, initech"
    )
    answer = governed.plan("system", own, source="shop")
    assert (answer.status, answer.body) == (404, {"code": "NOT_FOUND", "message": "there is no source 'shop'"})


def test_with_a_store_away_the_answer_says_so(governed: Governed) -> None:
    with away(governed.settings.database_url or ""):
        answer = governed.plan("system", governed.files)
    assert (answer.status, answer.code) == (503, "BROKER_NOT_AVAILABLE")
    assert "PostgreSQL does not answer" in answer.body["message"]


# Beside the traffic


def large(governed: Governed) -> dict[str, str]:
    """The tree with two thousand more topics."""
    topics = together(*(manifest("Topic", f"more-{number}") for number in range(2_000)))
    return {**governed.files, "shops/acme/more.yaml": topics}


def test_what_is_planned_keeps_nobody_from_being_answered(governed: Governed) -> None:
    files = large(governed)
    answers: list[Answer] = []
    planning = threading.Thread(target=lambda: answers.append(governed.plan("system", files)))
    planning.start()
    answered = 0
    while planning.is_alive():
        assert governed.client.get("/livez").status == 200
        answered += 1
    planning.join()
    assert len(changes(answers[0])) == 2_000
    assert answered > 10


def test_past_a_few_plans_at_once_the_others_are_turned_away(governed: Governed) -> None:
    files = large(governed)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: governed.plan("system", files), range(8)))
    turned_away = [answer for answer in answers if answer.status != 200]
    assert len(turned_away) >= 1
    assert {(answer.status, answer.code) for answer in turned_away} == {(503, "BROKER_NOT_AVAILABLE")}
    assert len(answers) - len(turned_away) >= 4
    assert changes(governed.plan("system", governed.files)) == []
