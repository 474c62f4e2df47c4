"""The form of plans for programs: schema, code and docs/plan-format.md say the same."""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from declared import dead_letters, observed, subscription, tenant, topic
from jsonschema import Draft202012Validator, ValidationError

from mqops.cli import exit_codes
from reconciler.planning.change import Action, Reason
from reconciler.planning.document import FORMAT_VERSION, schema
from reconciler.planning.live import SETTINGS
from reconciler.planning.refusals import Obstacle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/plan-format.md").read_text("utf-8")
ROWS = set(re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE))


def test_the_committed_schema_is_what_the_types_say() -> None:
    committed = json.loads((ROOT / "schemas/plan.schema.json").read_text("utf-8"))
    assert committed == schema(), "python -m reconciler.planning.document > schemas/plan.schema.json"
    Draft202012Validator.check_schema(committed)


@pytest.mark.parametrize("change", [{"surprise": 1}, {"format_version": "2.0"}, {"summary": {}}, {"others": "none"}])
def test_the_schema_refuses_another_form(change: dict[str, Any]) -> None:
    plan = json.loads((ROOT / "tests/plans/changes/plan.json").read_text("utf-8"))
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate({**plan, **change})


@pytest.mark.parametrize("enum", [Action, Reason, Obstacle])
def test_every_code_is_documented(enum: type[StrEnum]) -> None:
    assert {member.value for member in enum} <= ROWS


def test_every_field_is_documented() -> None:
    found = {
        name for definition in (schema(), *schema()["$defs"].values()) for name in definition.get("properties", {})
    }
    assert found <= ROWS
    assert FORMAT_VERSION in PAGE


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {str(code) for code in (0, *codes)} <= ROWS


def test_every_setting_on_redis_is_known_as_one() -> None:
    """What an apply writes into the meta hashes is what a saved plan is bound to."""
    billing = subscription("billing", "orders")
    there = observed((tenant(), topic("orders"), dead_letters("orders.deadletter"), billing))
    written = [*there.topics.values(), *there.subscriptions.values()]
    assert {name for live in written for name in live.meta} | {"closing"} == SETTINGS
