"""The API held to its own description by schemathesis: whatever is sent to it, by whoever may or may not, is answered
as the description says, and never with a defect.

What is sent is the same in every run. MQOPS_TEST_API_SEED sends something else, MQOPS_TEST_API_EXAMPLES more of it (for
each operation, principal and kind of data).
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
import requests
import schemathesis
from api_platform import Platform
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from seeded import BY_PLURAL, OPERATIONS, ROLES, TOPIC, Seeds, key_of, plural_of

SEED = int(os.environ.get("MQOPS_TEST_API_SEED", "1"))
EXAMPLES = int(os.environ.get("MQOPS_TEST_API_EXAMPLES", "2"))

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class Described:
    """The description as it is served, and the server."""

    seeds: Seeds
    schema: schemathesis.BaseSchema
    session: requests.Session

    def operation(self, key: str) -> schemathesis.APIOperation:
        return self.schema[OPERATIONS[key].path][OPERATIONS[key].method]

    def send(self, case: schemathesis.Case, key: str, acting_in: str | None = None) -> schemathesis.Response:
        """Raises whatever is wrong with the answer."""
        headers = {"Authorization": f"Bearer {key}"}
        if case.operation.path.endswith("/stream"):
            case.query["forMs"] = 50  # it would go on for ever, or for a day
        # A tenant that is made up would be refused, whatever the rest is.
        case.headers.pop("X-Mqops-Tenant", None)
        if acting_in is not None:
            headers["X-Mqops-Tenant"] = acting_in
        response = case.call(base_url=url_of(self.seeds.platform), session=self.session, headers=headers)
        case.validate_response(response, checks=CHECKS)
        return response


def url_of(platform: Platform) -> str:
    return f"http://127.0.0.1:{platform.client.port}"


@pytest.fixture(scope="module")
def described(platform: Platform) -> Iterator[Described]:
    seeds = Seeds(platform)
    seeds.populate()
    schema = schemathesis.openapi.from_url(f"{url_of(platform)}/openapi.json")
    with requests.Session() as session:
        session.trust_env = False
        yield Described(seeds, schema, session)


@pytest.mark.parametrize("key", OPERATIONS)
def test_whatever_is_sent_is_answered_as_described(described: Described, key: str) -> None:
    print(f"MQOPS_TEST_API_SEED={SEED} MQOPS_TEST_API_EXAMPLES={EXAMPLES}")
    operation = described.operation(key)
    plural = plural_of(OPERATIONS[key])
    names = [TOPIC, described.seeds.made(plural)] if plural in BY_PLURAL else [TOPIC]
    modes = list(GenerationMode) if takes_something(operation) else [GenerationMode.POSITIVE]
    callers = [(key_of("acme", role), None) for role in ROLES]
    for mode, caller in itertools.product(modes, [(key_of("system"), "acme"), (key_of("system"), None), *callers]):
        each(operation.as_strategy(mode), names, lambda case, caller=caller: described.send(case, *caller))


def takes_something(operation: schemathesis.APIOperation) -> bool:
    """Whether there is anything that could be sent wrong."""
    return bool(operation.path_parameters or operation.query or operation.headers or operation.body)


def each(cases: "st.SearchStrategy[schemathesis.Case]", names: Sequence[str], send: Callable[..., object]) -> None:
    """Send some of ``cases``, now and then about what there is."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, name=st.none() | st.sampled_from(names))
    def sent(case: schemathesis.Case, name: str | None) -> None:
        if name is not None and "name" in case.path_parameters:
            case.path_parameters["name"] = name
        send(case)

    sent()


@pytest.mark.parametrize("key", OPERATIONS)
def test_everything_can_be_done_as_described(described: Described, key: str) -> None:
    seeds = described.seeds
    request = seeds.request(OPERATIONS[key])
    body = {} if request.body is None else {"body": request.body, "media_type": "application/json"}
    case = described.operation(key).Case(path_parameters=request.parameters, query=request.query, **body)
    response = described.send(case, key_of(seeds.home(OPERATIONS[key])))
    assert 200 <= response.status_code < 300, response.text
