"""One document: what the model refuses, in which words, at which place, with which suggestion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import DIGESTS, loaded, manifest, validated

from mqops.model import KINDS, Identity
from reconciler.manifests.validate import Declared, Rejected, validate


def told(text: str, **variables: str) -> list[str]:
    [result] = validated(text, variables)
    assert isinstance(result, Rejected)
    return [str(problem).removeprefix("f.yaml:") for problem in sorted(result.problems)]


def spec_of(kind: str, *lines: str) -> str:
    return manifest(kind, "x", "\n" + "\n".join(f"  {line}" for line in lines))


TOPIC = [
    ("retention: 7 days", '5:14: spec.retention: "7 days" is not a duration: write a number and a unit, like', "7d"),
    ("retention: 30", "5:14: spec.retention: 30 has no unit: a duration is text", "30s"),
    ("retention: 1w", '5:14: spec.retention: "1w" is not a duration', "7d"),
    ("retention: 0s", "5:14: spec.retention: 0s is outside of 1s to 3650d", ""),
    ("retention: 999999999999d", "5:14: spec.retention: 999999999999d is outside of 1s to 3650d", ""),
    ("maxMessageSize: 1 MB", '5:19: spec.maxMessageSize: "1 MB" is not a size', "1MiB"),
    ("maxMessageSize: 1024", "5:19: spec.maxMessageSize: 1024 has no unit", "1024B"),
    ('partitions: "4"', '5:15: spec.partitions: a whole number is wanted, not "4"', "4"),
    ("partitions: yes", "5:15: spec.partitions: a whole number is wanted, not yes", ""),
    ("partitions: 1.5", "5:15: spec.partitions: a whole number is wanted, not 1.5", ""),
    ("partitions: 0", "5:15: spec.partitions: 0 is outside of 1 to 256", ""),
    ("max_backlog: 5", "5:3: spec.max_backlog: there is no such field", "maxBacklog"),
    ("partitons: 5", "5:3: spec.partitons: there is no such field", "partitions"),
    ("zzz: 5", "5:3: spec.zzz: there is no such field; there are displayName, description, engine", ""),
    ("producers: checkout", '5:14: spec.producers: a list is wanted, not "checkout"', "[checkout]"),
    ("producers: [A b]", '5:15: spec.producers[0]: "A b" is not a name: lower-case letters', "a-b"),
    ("state: activ", '5:10: spec.state: "activ" is not one of active, paused, archived', "active"),
    ("state: off", "5:10: spec.state: off is not one of active, paused, archived", ""),
    ('public: "yes"', '5:11: spec.public: true or false is wanted, not "yes"', "true"),
    ("displayName: 2026", "5:16: spec.displayName: 2026 is a number, and text is wanted: quote it", '"2026"'),
    ("description: no", "5:16: spec.description: no is read as false, and text is wanted: quote it", '"no"'),
    ("description:", "5:15: spec.description: is empty, and text is wanted", ""),
    ("description: [x]", "5:16: spec.description: text is wanted, not a list", ""),
    ("engine: kafka", '5:11: spec.engine: "kafka" is not redis, the only choice so far', ""),
]

SUBSCRIPTION = [
    ("topik: orders", "5:3: spec.topik: there is no such field", "topic"),
    ("topic: Orders", "5:10: spec.topic: \"Orders\" is not the name of a topic, or tenant/name of another", "orders"),
    ("topic: a/b/c", '5:10: spec.topic: "a/b/c" is not the name of a topic', ""),
    ("topic: a\n  retry: {maxDelay: 1ms}", "6:10: spec.retry: maxDelay is shorter than initialDelay", ""),
    ("topic: a\n  retry: {maxAttempts: 0}", "6:24: spec.retry.maxAttempts: 0 is outside of 1 to 100", ""),
    ("topic: a\n  retry: {jitter: x}", '6:19: spec.retry.jitter: a number is wanted, not "x"', ""),
    ("topic: a\n  retry: 3", "6:10: spec.retry: a mapping is wanted, not 3", ""),
    ("topic: a\n  filter: foo(1)", "6:11: spec.filter: there is no function foo()", ""),
    ("topic: a\n  filter: 'x ='", "6:11: spec.filter: not a CEL expression: line 1, character", ""),
    ("topic: a\n  filter: payload.a.startWith('b')", "6:11: spec.filter: nothing has a method", "startsWith"),
    ('topic: a\n  filter: ""', "6:11: spec.filter: is empty", ""),
    ("topic: a\n  filter: " + "a" * 5000, "6:11: spec.filter: is longer than 4096 characters", ""),
]  # fmt: skip

HANDLER = [
    ("type: htp", '5:9: spec.type: "htp" is not http, the only choice so far', "http"),
    ("http: {url: ftp://x}", '5:15: spec.http.url: "ftp://x" is not a URL that begins with http:// or https://', ""),
    ('http: {url: "http://:80"}', "5:15: spec.http.url: not a URL: write https://host/path", ""),
    ("http: {url: http://x, headers: {Host: a}}", "5:35: spec.http.headers.Host: mqops sets Host on every", ""),
    ('http: {url: http://x, headers: {"a b": c}}', '5:35: spec.http.headers["a b"]: "a b" is not the name', "a-b"),
    ("http: {url: http://x, headers: {a: ä}}", '5:38: spec.http.headers.a: "ä" is not the value of an HTTP', ""),
    ("http: {url: http://x, signingSecret: {}}", "5:40: spec.http.signingSecret: name exactly one of env", ""),
    ("http: {url: http://x, signingSecret: {env: FOO}}", '5:46: spec.http.signingSecret.env: "FOO" is not an', ""),
    ("http: {url: http://x, timeout: 2h}", "5:34: spec.http.timeout: 2h is outside of 10ms to 1h", ""),
]

CREDENTIAL = [
    (f"keys: [{{sha256: {'A' * 64}}}]", '5:19: spec.keys[0].sha256: "AAA', "a" * 64),
    (f"keys: [{{sha256: {DIGESTS[0]}, expiresAt: 2026-01-01}}]", '5:96: spec.keys[0].expiresAt: "2026-01-01" is', ""),
    ("keys: []", "5:9: spec.keys: is empty, and at least one is needed", ""),
]


@pytest.mark.parametrize(
    ("kind", "line", "expected", "suggestion"),
    [
        *(("Topic", *case) for case in TOPIC),
        *(("Subscription", *case) for case in SUBSCRIPTION),
        *(("Handler", *case) for case in HANDLER),
        *(("Credential", *case) for case in CREDENTIAL),
    ],
)
def test_each_field_is_refused_in_words(kind: str, line: str, expected: str, suggestion: str) -> None:
    [problem] = [problem for problem in told(spec_of(kind, line)) if problem.startswith(expected.split(" ")[0])][:1]
    assert problem.startswith(expected)
    assert problem.partition("; did you mean ")[2] == (f"{suggestion}?" if suggestion else "")


def test_everything_wrong_with_a_document_is_told_at_once() -> None:
    text = manifest("Topic", "no", "{partitions: x, retention: y, zzz: 1}").replace("tenant: acme", "tenant: ACME")
    assert [problem.split(": ")[1] for problem in told(text)] == [
        "metadata.tenant",
        "metadata.name",
        "spec.partitions",
        "spec.retention",
        "spec.zzz",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n", ["1:1: kind: is required: what this declares, one of Credential, Handler, Queue"]),
        ("Kind: Topic\n", ["1:1: Kind: there is no such field; did you mean kind?"]),
        ("kind: Topik\n", ['1:7: kind: "Topik" is not a kind: there are Credential, Handler, Queue, Source']),
        ("kind: [Topic]\n", ["1:7: kind: a list is not a kind"]),
        ("kind: Topic\n", ["1:1: apiVersion: is required", "1:1: metadata: is required"]),
        (
            "apiVersion: mqops/v2\nkind: Topic\nmetadata: x\n",
            ['1:13: apiVersion: "mqops/v2" is not an apiVersion of mqops; did you mean mqops/v1?',
             '3:11: metadata: a mapping is wanted, not "x"'],
        ),
        (manifest("Topic", "x", ""), ["4:6: spec: is empty: fill it in, or leave it out"]),
        (
            manifest("Tenant", "x").replace("{name", "{tenant: y, name"),
            ["3:12: metadata.tenant: a Tenant belongs to no tenant: leave it out"],
        ),
        (manifest("Topic", "12345678-1234-5678-1234-567812345678"), ["3:32: metadata.name: a name must not look like"]),
        (
            manifest("Topic", "x").replace("name: x", 'name: x, annotations: {mqops/guard: "true"}'),
            ["3:49: metadata.annotations[\"mqops/guard\"]: mqops/guard means nothing"],
        ),
        (manifest("Topic", "x").replace("metadata", "metdata"), ["3:1: metdata: there is no such field; did you mean"]),
    ],
)  # fmt: skip
def test_the_envelope_is_checked_too(text: str, expected: list[str]) -> None:
    found = told(text)
    assert len(found) == len(expected)
    for problem, beginning in zip(found, expected, strict=True):
        assert problem.startswith(beginning)


def test_a_spec_that_requires_nothing_may_be_left_out() -> None:
    [result] = validated("apiVersion: mqops/v1\nkind: Tenant\nmetadata: {name: acme}\n")
    assert isinstance(result, Declared)
    assert result.identity == Identity("Tenant", "", "acme")


def test_a_refused_document_still_tells_what_it_was_to_declare() -> None:
    [result] = validated(manifest("Topic", "orders", "{zzz: 1}"))
    assert isinstance(result, Rejected)
    assert result.identity == Identity("Topic", "acme", "orders")


def url(text: str) -> str:
    return manifest("Handler", "x", f'{{type: http, http: {{url: "{text}"}}}}')


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${AUDIT_SERVICE_URL}/a", "http://audit:1/a"),
        ("https://${AUTH_SERVICE_URL:-fallback}/a", "https://fallback/a"),
        ("${AUDIT_SERVICE_URL:-http://other}", "http://audit:1"),
        ("http://x/$${AUDIT_SERVICE_URL}", "http://x/${AUDIT_SERVICE_URL}"),
        ("http://x/$AUDIT_SERVICE_URL", "http://x/$AUDIT_SERVICE_URL"),
    ],
)
def test_variables_are_filled_in(text: str, filled: str) -> None:
    [result] = validated(url(text), {"AUDIT_SERVICE_URL": "http://audit:1"})
    assert isinstance(result, Declared)
    assert result.spec.http.url == filled  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "${AUDT_SERVICE_URL}",
            "${AUDT_SERVICE_URL} is not a variable of manifests; there are AUDIT_",
        ),
        ("${AUDT_SERVICE_URL:-x}", "${AUDT_SERVICE_URL} is not a variable of manifests"),
        ("${DATABASE_URL}", "${DATABASE_URL} is not a variable of manifests"),
        ("${AUTH_SERVICE_URL}", "${AUTH_SERVICE_URL} is not set: set it, or write ${AUTH_SERVICE_URL:-default}"),
        ("${AUDIT_SERVICE_URL", "${ without a closing }; for these two characters write $${"),
        ("${}", "${} is not a variable of manifests"),
    ],
)
def test_variables_that_stand_for_nothing_are_told(text: str, expected: str) -> None:
    [problem] = told(url(text), AUDIT_SERVICE_URL="http://audit:1")
    assert problem.startswith(f"4:32: spec.http.url: {expected}")


def test_an_unknown_variable_names_the_nearest() -> None:
    [problem] = told(url("${AUDT_SERVICE_URL}"))
    assert problem.endswith("did you mean ${AUDIT_SERVICE_URL}?")


def test_variables_mean_nothing_outside_of_spec() -> None:
    text = manifest("Topic", "x").replace("name: x", 'name: x, labels: {a: "${NOPE}"}')
    [result] = validated(text)
    assert isinstance(result, Declared)
    assert result.metadata.labels == {"a": "${NOPE}"}


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20))
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=10), inner), max_leaves=8)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_any_value_anywhere_is_accepted_or_told_with_its_place(kind: str, data: st.DataObject) -> None:
    fields = st.sampled_from(sorted(field.alias or name for name, field in KINDS[kind].spec.model_fields.items()))
    spec = data.draw(st.dictionaries(fields, VALUES))
    [document] = loaded(manifest(kind, "x")).documents
    document.value["spec"] = spec
    result = validate(document, {})
    if isinstance(result, Rejected):
        assert result.problems
        assert all("\n" not in str(problem) and problem.line in range(1, 5) for problem in result.problems)
