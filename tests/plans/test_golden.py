"""Whole plans, compared with what was once looked at and found right.

After a change that is meant to alter them: ``python tests/plans/regenerate.py``, then read the difference.
"""

import json

import pytest
from golden import CASES, folder_of, plan_of
from jsonschema import Draft202012Validator

from reconciler.planning.change import Action, Reason
from reconciler.planning.document import schema
from reconciler.planning.markdown import markdown
from reconciler.planning.refusals import Obstacle
from reconciler.planning.render import as_json, text
from reconciler.planning.scope import EVERYTHING, Scope


@pytest.mark.parametrize("case", CASES)
def test_the_plan_reads_as_it_did(case: str) -> None:
    assert text(plan_of(case), "manifests") == (folder_of(case) / "plan.txt").read_text("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_the_comment_reads_as_it_did(case: str) -> None:
    assert markdown(plan_of(case), "manifests") == (folder_of(case) / "plan.md").read_text("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_as_it_was(case: str) -> None:
    assert as_json(plan_of(case)) == json.loads((folder_of(case) / "plan.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_as_its_schema_says(case: str) -> None:
    Draft202012Validator(schema()).validate(json.loads((folder_of(case) / "plan.json").read_text("utf-8")))


@pytest.mark.parametrize("case", CASES)
def test_each_resource_alone_can_be_planned_as_in_the_whole(case: str) -> None:
    """With what it needs, a target's change is the same as in the whole plan, and is refused only if it is there."""
    whole = plan_of(case, EVERYTHING)
    refused = {refusal.change.identity for refusal in whole.refused}
    for change in whole.changes:
        alone = plan_of(case, Scope(frozenset({change.identity})))
        assert change in alone.changes
        assert {one.identity for one in alone.changes} <= {one.identity for one in whole.changes}
        assert {refusal.change.identity for refusal in alone.refused} <= refused
        assert len(alone.changes) + len(alone.refused) + len(alone.outside) + len(alone.leftovers) == (
            len(whole.changes) + len(whole.refused) + len(whole.leftovers)
        )


def test_the_cases_show_every_action_reason_and_obstacle() -> None:
    plans = [plan_of(case) for case in CASES]
    changes = [change for plan in plans for change in plan.changes]
    refused = [refusal for plan in plans for refusal in plan.refused]
    assert {change.action for change in changes} == set(Action)
    assert {change.reason for change in changes} == set(Reason)
    assert {refusal.obstacle for refusal in refused} == set(Obstacle)
    assert any(plan.leftovers for plan in plans)
