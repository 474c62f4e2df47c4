"""``POST /plans`` by a tenant's principals: they plan their own, and cannot tell what others have."""

import hashlib
import re
from typing import Any

import pytest
from governed import Governed, changes, credential, key_of, problems, refused
from trees import manifest, together

ACME = "shops/acme.yaml"


def without(text: str, kind: str, name: str) -> str:
    """``text`` less one document."""
    documents = [one for one in text.split("---\n") if f"kind: {kind}\n" not in one or f"name: {name}}}" not in one]
    return together(*documents)


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
