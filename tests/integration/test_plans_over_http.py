"""``POST /plans``: manifests that the caller has, planned by the server against what it has."""

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from governed import Governed, changes, credential, key_of, problems, refused
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


# A tenant's


def test_a_tenant_plans_its_own_and_is_shown_nothing_else(governed: Governed) -> None:
    answer = governed.plan("acme", {ACME: governed.files[ACME]})
    assert (changes(answer), answer.body["plan"]["others"]) == ([], 0)
    fewer = without(without(governed.files[ACME], "Subscription", "billing"), "Topic", "orders")
    answer = governed.plan("acme", {ACME: fewer})
    assert changes(answer) == [
        "delete Subscription acme/billing",
        "delete Topic acme/orders",
        "delete Topic acme/orders.deadletter",
    ]
    assert "globex" not in answer.raw.decode()
    more = governed.files[ACME] + "---\n" + manifest("Subscription", "deals", "{topic: initech/offers}")
    assert changes(governed.plan("acme", {ACME: more})) == [
        "create Topic acme/offers.deadletter",
        "create Subscription acme/deals",
    ]


def test_what_others_need_of_a_tenants_is_told_without_their_names(governed: Governed) -> None:
    answer = governed.plan("acme", {ACME: without(governed.files[ACME], "Topic", "news")})
    assert refused(answer) == [("delete Topic acme/news", "still_needed")]
    assert "a Subscription of another tenant needs it" in answer.body["plan"]["refused"][0]["message"]
    assert "globex" not in answer.raw.decode()
    renamed = governed.files[ACME].replace("name: news}", "name: tidings, renamedFrom: news}")
    answer = governed.plan("acme", {ACME: renamed})
    assert refused(answer) == [("rename Topic acme/tidings", "still_needed")]
    assert "a Subscription of another tenant still names it" in answer.body["plan"]["refused"][0]["message"]
    assert "globex" not in answer.raw.decode()


_UIDS = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def answered(governed: Governed, text: str, **options: Any) -> tuple[int, str]:
    """What acme's planner is told of acme's manifests and ``text``."""
    answer = governed.plan("acme", {ACME: f"{governed.files[ACME]}---\n{text}"}, **options)
    return answer.status, _UIDS.sub("uid", answer.raw.decode())


@pytest.mark.parametrize(
    "more",
    [
        manifest("Subscription", "x", "{topic: globex/secret}"),
        manifest("Subscription", "x", "{topic: globex/secre}"),
        manifest("Subscription", "x", "{topic: globex/news.deadletter}"),
        manifest("Subscription", "x", "{topic: orders, handler: secret}"),
        manifest("Topic", "secret", tenant="globex"),
        manifest("Topic", "x", tenant="globe"),
        manifest("Tenant", "globex"),
        manifest("Tenant", "acme2").replace("acme2}", "acme2, renamedFrom: globex}"),
        manifest("Topic", "x").replace("x}", "x, renamedFrom: secret}"),
        manifest("Source", "x", "{path: globex}"),
        manifest("Handler", "x", '{type: http, http: {url: "https://x/", signingSecret: {env: MQOPS_ACME_GLOBEX}}}'),
    ],
)
def test_a_manifest_that_names_what_others_have_is_answered_as_if_it_were_not_there(
    governed: Governed, without_globex: Governed, more: str
) -> None:
    assert answered(governed, more) == answered(without_globex, more)


def test_a_key_that_others_have_is_refused_without_saying_whose(governed: Governed) -> None:
    text = credential("globex", "planner").replace("tenant: globex, name: planner", "tenant: acme, name: more")
    status, told = answered(governed, text)
    assert status == 422
    assert "the same key is in use elsewhere" in told
    assert "globex" not in told


@pytest.mark.parametrize(
    "options",
    [
        {"targets": ["topic/globex/secret"]},
        {"targets": ["topic/initech/offers"]},
        {"targets": ["subscription/globex/reade"]},
        {"targets": ["tenant/globex"]},
        {"unprotect": ["topic/globex/secret"]},
        {"labels": {"team": "x"}},
        {"refreshOnly": True},
    ],
)
def test_options_that_name_what_others_have_are_answered_as_if_it_were_not_there(
    governed: Governed, without_globex: Governed, options: dict[str, Any]
) -> None:
    more = manifest("Topic", "more")
    assert answered(governed, more, **options) == answered(without_globex, more, **options)


def test_guards_count_what_the_tenant_has_alone(governed: Governed, without_globex: Governed) -> None:
    def refusals(world: Governed) -> list[str]:
        more = together(*(manifest("Topic", f"more-{number}") for number in range(12)))
        world.apply({**world.files, "shops/acme/more.yaml": more})
        answer = world.plan("acme", {ACME: world.files[ACME]})
        assert len(refused(answer)) == 12
        return [refusal["message"] for refusal in answer.body["plan"]["refused"]]

    found = refusals(governed)
    assert found == refusals(without_globex)
    assert found[0].startswith("12 of the 23 resources of source 'shops' would be deleted")


def test_sources_of_others_are_answered_as_if_they_were_not_there(governed: Governed) -> None:
    there, absent = ({"source": name} for name in ("platform", "nonesuch"))
    found = answered(governed, manifest("Topic", "more"), **there)
    assert found[0] == 404
    assert (404, found[1].replace("platform", "nonesuch")) == answered(governed, manifest("Topic", "more"), **absent)
    assert answered(governed, "", takeOver=["platform"]) == answered(governed, "", takeOver=["nonesuch"])


def test_a_tenant_of_several_sources_says_which(governed: Governed) -> None:
    files = {
        **governed.files,
        "sources.yaml": governed.files["sources.yaml"] + "---\n" + manifest("Source", "more", "{path: more}"),
        "more/x.yaml": manifest("Topic", "x"),
    }
    governed.apply(files)
    answer = governed.plan("acme", {ACME: governed.files[ACME]})
    assert (answer.status, answer.body["message"]) == (400, "name the source that is meant: more, shops")
    answer = governed.plan("acme", {"more/x.yaml": manifest("Topic", "y")}, source="more")
    assert changes(answer) == ["create Topic acme/y", "delete Topic acme/x"]
    assert changes(governed.plan("acme", {ACME: governed.files[ACME]}, source="shops")) == []


def test_the_system_sees_what_a_tenant_would_when_it_acts_in_it(governed: Governed) -> None:
    acting = governed.client.with_key(key_of("system", "planner"), tenant="acme")
    body = {"files": {ACME: without(governed.files[ACME], "Topic", "news")}}
    assert acting.post("/plans", body).raw == governed.of("acme").post("/plans", body).raw


@pytest.mark.parametrize("show", ["text", "markdown"])
def test_a_plan_shows_no_digests_of_keys(governed: Governed, show: str) -> None:
    known, other = (hashlib.sha256(key_of("acme", name).encode()).hexdigest() for name in ("planner", "x"))
    more = governed.files[ACME].replace(known, other) + "---\n" + credential("acme", "consumer")
    answer = governed.plan("acme", {ACME: more}, show=show)
    assert changes(answer) == ["create Credential acme/consumer", "update Credential acme/planner"]
    assert answer.body["plan"]["resource_changes"][1]["fields"] == [
        {"path": "spec.keys[0].sha256", "before": "(digest)", "after": "(digest)"}
    ]
    assert "Credential acme/consumer" in str(answer.body[show])
    assert re.search("[0-9a-f]{64}", answer.raw.decode()) is None


def test_a_plan_is_put_into_words_as_the_command_line_puts_it(governed: Governed) -> None:
    files = {ACME: governed.files[ACME] + "---\n" + manifest("Topic", "more")}
    answer = governed.plan("acme", files, show="text", directory="tree")
    lines = [(line["about"], line["line"]) for line in answer.body["text"]]
    assert lines[0] == ("create", "  + create Topic acme/more  tree/shops/acme.yaml:41")
    assert lines[-1] == ("plain", "Plan: 1 to create, 0 to update, 0 to delete, 0 to repair.")
    answer = governed.plan("acme", files, show="markdown", directory="tree")
    assert answer.body["markdown"].startswith("**Plan: 1 to create")
    assert "text" not in answer.body


def test_a_subscription_waits_for_a_topic_that_others_have_not_declared_yet(governed: Governed) -> None:
    more = governed.files[ACME] + "---\n" + manifest("Subscription", "x", "{topic: globex/offers}")
    answer = governed.plan("acme", {ACME: more})
    assert changes(answer) == []
    [waiting] = answer.body["plan"]["waiting"]
    assert (waiting["name"], waiting["file"], waiting["line"]) == ("x", ACME, 41)
    assert waiting["message"] == "there is no topic globex/offers that acme may read yet"
    own = governed.files[ACME] + "---\n" + manifest("Subscription", "x", "{topic: ordrs}")
    assert problems(governed.plan("acme", {ACME: own})) == [f"{ACME}:44 spec.topic: acme has no Topic ordrs"]


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
