"""What each role may do: every operation of the description, by a principal of each role."""

import pytest
from api_platform import Platform
from seeded import BY_PLURAL, INTERNAL, OPERATIONS, ROLES, Seeds, plural_of

from mqops.api.openapi.operations import Operation

READERS = {"viewer", "planner", "deployer", "admin"}
PLANNERS = {"planner", "deployer", "admin"}


@pytest.fixture(scope="module")
def seeds(platform: Platform) -> Seeds:
    found = Seeds(platform)
    found.populate()
    return found


def allowed(operation: Operation) -> set[str]:
    """As docs/http-api.md has it."""
    last = operation.path.rpartition("/")[2]
    if operation.is_open:
        return set(ROLES)
    if operation.path.startswith(INTERNAL):
        return {"publisher"} if operation.method == "POST" else READERS
    if "/deadletters" in operation.path:
        return {"consumer", "admin"}
    if last == "publish" or "/publish/" in operation.path:
        return {"publisher"}
    if "/scheduled" in operation.path:
        return {"consumer"} if operation.method == "GET" else {"publisher"}
    if last in ("pull", "stream", "ack", "nack", "extend", "messages", "{id}"):
        return {"consumer"}
    if last == "plans":
        return PLANNERS
    assert last in ("purge", "pause", "resume", "{name}") or last in BY_PLURAL, f"who may {operation.key}?"
    return READERS if operation.method == "GET" else {"admin"}


def forbidden_first(roles: set[str]) -> list[str]:
    """One request serves all: those who may not do it leave it to be done."""
    return sorted(ROLES, key=lambda role: role in roles)


@pytest.mark.parametrize("key", OPERATIONS)
def test_a_role_may_do_what_it_is_for_and_nothing_else(seeds: Seeds, key: str) -> None:
    operation = OPERATIONS[key]
    request, roles = seeds.request(operation), allowed(operation)
    for role in forbidden_first(roles):
        answer = request.by(seeds.client(seeds.home(operation), role))
        if role in roles:
            assert 200 <= answer.status < 300, (role, answer)
        else:
            assert (answer.status, answer.code) == (403, "FORBIDDEN"), role


@pytest.mark.parametrize("key", [key for key, operation in OPERATIONS.items() if "dryRun" in operation.parameters])
def test_a_dry_run_is_for_whoever_plans(seeds: Seeds, key: str) -> None:
    operation = OPERATIONS[key]
    request = seeds.request(operation)
    for role in ROLES:
        answer = request.by(seeds.client(seeds.home(operation), role), "?dryRun=true")
        assert answer.status == (200 if role in PLANNERS else 403), role


@pytest.mark.parametrize(
    "key", [key for key, found in OPERATIONS.items() if found.method != "GET" and plural_of(found) == "tenants"]
)
def test_tenants_are_changed_by_the_system_alone(seeds: Seeds, key: str) -> None:
    request = seeds.request(OPERATIONS[key])
    theirs = request if not request.name else type(request)(request.operation, "acme", request.body)
    answer = theirs.by(seeds.client("acme"))
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
