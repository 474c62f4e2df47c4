"""What a tenant's principals see of a plan."""

from dataclasses import fields, replace

from declared import SOURCES, managed, observed, subscription, tenant, topic

from mqops.model import Identity
from reconciler.planning.change import Action, FieldChange, Reason
from reconciler.planning.drifted import Drifted
from reconciler.planning.plan import Outside, Plan, plan
from reconciler.planning.refusals import Obstacle, Refusal
from reconciler.planning.view import discreet, is_of, seen_by, unowned, without_digests

ACME = (tenant(), topic("orders"), topic("news", public=True))
GLOBEX = (tenant("globex"), topic("secret", "globex"), managed(topic("secret2", "globex"), "hidden"))


def test_what_others_have_is_neither_changed_nor_counted_nor_shown() -> None:
    there = observed((*ACME, *GLOBEX, managed(topic("mine"), "other")))
    found = plan(ACME[:2], unowned("acme", there), SOURCES)
    alone = observed((*ACME, managed(topic("mine"), "other")))
    assert seen_by("acme", found, unowned("acme", there)) == plan(ACME[:2], alone, SOURCES)


def test_what_others_need_is_told_without_whose_it_is() -> None:
    reader = managed(subscription("watch", "acme/news", "globex", deadLetter=None), "hidden")
    longer = managed(subscription("watch-all", "acme/news", "globex", deadLetter=None), "hidden")
    there = unowned("acme", observed((*ACME, *GLOBEX, reader, longer)))
    found = seen_by("acme", plan(ACME[:2], there, SOURCES), there)
    [refusal] = found.refused
    assert refusal.change.identity == Identity("Topic", "acme", "news")
    assert "a Subscription of another tenant needs it" in refusal.message
    assert not any(word in refusal.message for word in ("globex", "watch", "-all", "hidden"))


def test_what_others_would_need_is_told_without_its_name_even_if_it_is_not_there() -> None:
    [change] = plan(ACME[:1], observed(()), SOURCES).changes
    message = "it needs Topic globex/made-0.deadletter, which is not there; Topic acme/orders stays"
    told = discreet(Refusal(change, Obstacle.STILL_NEEDED, message), "acme")
    assert told.message == "it needs a Topic of another tenant, which is not there; Topic acme/orders stays"


def test_what_is_left_out_of_others_is_not_told() -> None:
    there = unowned("acme", observed(ACME))
    found = plan(ACME, there, SOURCES)
    own, foreign = (Outside(Action.CREATE, Identity("Topic", owner, "x")) for owner in ("acme", "globex"))
    assert seen_by("acme", replace(found, outside=(own, foreign)), there).outside == (own,)


def test_a_tenant_is_its_own() -> None:
    assert is_of("acme", Identity("Tenant", "", "acme"))
    assert not is_of("acme", Identity("Tenant", "", "globex"))
    assert not is_of("acme", Identity("Source", "", "acme"))


def test_drift_shows_no_digests() -> None:
    digest = "0123456789abcdef" * 4
    found = (FieldChange("spec.keys[0].sha256", digest, None), FieldChange("row", f"keys.0: {digest}!", "as recorded"))
    drift = Drifted(Identity("Credential", "acme", "x"), "uid", "platform", Reason.ROW_MALFORMED, found)
    [shown] = without_digests(replace(plan(ACME, observed(ACME), SOURCES), drift=(drift,))).drift
    assert shown.fields == (
        FieldChange("spec.keys[0].sha256", "(digest)", None),
        FieldChange("row", "keys.0: (digest)!", "as recorded"),
    )


def test_what_has_no_digests_stays_as_it_is() -> None:
    found = plan(ACME, observed(ACME[:1]), SOURCES)
    assert without_digests(found) == found


def test_whatever_a_plan_has_is_thought_of() -> None:
    """What is added to plans shows to tenants unless ``seen_by`` leaves it out."""
    known = {
        "changes",
        "refused",
        "leftovers",
        "moved",
        "unclaimed",
        "others",
        "outside",
        "beside",
        "drift",
        "waiting",
        "revision",
    }
    assert {field.name for field in fields(Plan)} == {*known, "revision"}
