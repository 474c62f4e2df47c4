"""Text into documents: what is refused, where that is said to be, and that nothing ever crashes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import loaded

from reconciler.manifests.load import MAX_FILE_BYTES, load, places_of
from reconciler.manifests.problem import Rule
from reconciler.manifests.scalars import plain_value


def told(text: str | bytes) -> list[str]:
    return [str(problem) for problem in loaded(text).problems]


def values(text: str | bytes) -> list[object]:
    return [document.value for document in loaded(text).documents]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1\n", "f.yaml:2:1: a tab: YAML is indented with spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "f.yaml:3:1: a tab: YAML is indented with spaces"),
        ("a: 1\n  \tb: 2\n", "f.yaml:2:3: a tab: YAML is indented with spaces"),
        ("a: @x\n", 'f.yaml:1:4: "@" cannot begin a value: put it in quotes'),
        ("a: [1, 2", "f.yaml:1:4: a list opened with [ is not closed with ]"),
        ("a: {b\n", "f.yaml:1:4: a mapping opened with { is not closed with }"),
        ('x: 1\na: "b\nc: 1\n', "f.yaml:2:4: a quote is opened here and never closed"),
        ("a: 1\n...\nb: 2\n", "f.yaml:3:1: a document ends above, and the next one begins with ---"),
        ("a: b: c\n", 'f.yaml:1:5: a ": " where none can be: the line is indented wrongly, or the value contains ": "'),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 'f.yaml:4:3: b.c: "c" stands here for a second time; the first is on line 3'),
        ("a: *nope\n", "f.yaml:1:4: a: no anchor &nope stands before this alias"),
        ("a: &a [*a]\n", "f.yaml:1:8: the alias *a lies inside its own anchor"),
        (BOMB, "f.yaml:6:8: aliases expand to more than 100,000 values"),
        ("[" * 40, "f.yaml:1:33: nested deeper than 32 levels"),
        ("a: " + "[x, " * 120_000, "f.yaml:1:128: nested deeper than 32 levels"),
        ("a: [" + "1," * 150_000 + "]", "f.yaml:1:199999: more than 100,000 values in one document"),
        ("a: !foo 1\n", 'f.yaml:1:4: a: the tag "!foo" means nothing in a manifest'),
        ("a: !!python/object:os.system {}\n", "f.yaml:1:4: a: the tag"),
        ("%TAG ! tag:x\n---\na: 1\n", "f.yaml:1:1: %TAG means nothing in a manifest"),
        ("no: 1\n", 'f.yaml:1:1: a key is text, and no is read as false: quote it; did you mean "no"?'),
        ("1: 1\n", 'f.yaml:1:1: a key is text, and 1 is read as a number: quote it; did you mean "1"?'),
        ("? [a]\n: b\n", "f.yaml:1:3: a key is plain text, not a list, a mapping or an alias"),
        ("a: {<<: 1}\n", "f.yaml:1:5: a: << takes an alias of a mapping"),
        ('a: "x\\0y"\n', "f.yaml:1:4: a: a NUL character, which no store can hold"),
        ("a: 1\nb: \0\n", "f.yaml:2:4: a NUL character (U+0000)"),
        ("a: \x1b[31m\n", "f.yaml:1:4: a control character (U+001B)"),
        ("hello", 'f.yaml:1:1: a manifest is a mapping with apiVersion, kind, metadata and spec, not "hello"'),
        ("- a\n", "f.yaml:1:1: a manifest is a mapping with apiVersion, kind, metadata and spec, not a list"),
        (b"a: 1\nb: caf\xe9\n", "f.yaml:2:7: not UTF-8: byte 0xe9"),
        ("a: 1\n".encode("utf-16"), "f.yaml:1:1: UTF-16: save it as UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str | bytes, expected: str) -> None:
    [problem] = told(text)
    assert problem.startswith(expected)


def test_one_mistake_hides_no_other() -> None:
    result = loaded("a: 'x\n---\nb: 1\n---\nc: [1,\n---\nd: b: c\n---\nok: 1\nok: 2\n")
    assert [(problem.line, problem.rule) for problem in result.problems] == [
        (1, Rule.SYNTAX),
        (6, Rule.SYNTAX),
        (7, Rule.SYNTAX),
        (10, Rule.DUPLICATE_KEY),
    ]
    assert [(document.line, document.value) for document in result.documents] == [(3, {"b": 1}), (9, {"ok": 2})]
    assert [text.splitlines()[-1] for text in result.broken] == ["a: 'x", "c: [1,", "d: b: c"]


def test_a_file_full_of_mistakes_is_given_up_on() -> None:
    result = loaded("---\na: [\n" * 1000)
    assert len(result.problems) == 51
    assert result.problems[-1].message == "too many mistakes: the rest of the file was not read"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing\n---\n# here\n---\n", []),
        ("\ufeffa: 1\n", [{"a": 1}]),
        ("a: 1\r\nb:\r\n  - x\r\n---\r\nc: 2\r\n", [{"a": 1, "b": ["x"]}, {"c": 2}]),
        ("  a: 1\n  b: 2\n", [{"a": 1, "b": 2}]),
        ('{"a": [1, true, null, "x"]}', [{"a": [1, True, None, "x"]}]),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", [{"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}]),
        ("a: !!str 1\nb: !!int 2\nc: |\n  x\n  y\n", [{"a": "1", "b": 2, "c": "x\ny\n"}]),
    ],
)
def test_what_is_right_is_read(text: str, expected: list[object]) -> None:
    assert told(text) == []
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("-12", -12),
        ("1.5e+3", 1500.0),
        # What follows means one thing to YAML 1.1, another to YAML 1.2, and nothing certain to a reader.
        ("010", "010"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("9" * 30, "9" * 30),
        ("1.0e+999", "1.0e+999"),
        ("=", "="),
    ],
)
def test_scalars_without_quotes(text: str, value: object) -> None:
    found = plain_value(text)
    assert found == value
    assert type(found) is type(value)


def test_a_file_over_the_limit_is_not_parsed() -> None:
    started = time.monotonic()
    [problem] = load("f.yaml", b"#" * (MAX_FILE_BYTES + 1)).problems
    assert (problem.rule, problem.message) == (Rule.LIMIT, "larger than 4 MiB: split it into several files")
    assert time.monotonic() - started < 0.1


@pytest.mark.parametrize(
    "text",
    [BOMB, "[" * 4_000_000, "{a: " * 1_000_000, "- " * 2_000_000, "? " * 2_000_000, "%TAG !a! b\n" * 300_000,
     "---\n" * 1_000_000, "&a " * 1_000_000, "---\na: [\n" * 400_000, "\t" * 4_000_000, "a: " + "*a " * 1_000_000],
    ids=["bomb", "flow", "flow map", "block", "keys", "directives", "empty", "anchors", "broken", "tabs", "aliases"],
)  # fmt: skip
def test_nothing_of_four_mebibytes_takes_long(text: str) -> None:
    started = time.monotonic()
    loaded(text)
    assert time.monotonic() - started < 10


def test_a_chain_of_aliases_cannot_outgrow_the_depth() -> None:
    lines = ["a0: &a0 " + "[" * 20 + "]" * 20] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]
    [problem] = told("\n".join(lines))
    assert "nested deeper than 32 levels" in problem


def test_places_are_those_of_keys_and_values() -> None:
    [document] = loaded("# c\n---\na: 1\nb:\n  - c: x\n    d:   no\n").documents
    places = places_of(document)
    assert places.start == (3, 1)
    assert places.key(("b", 0, "d")) == (6, 5)
    assert places.value(("b", 0, "d")) == (6, 10)
    assert places.raw(("b", 0, "d")) == "no"
    assert places.value(("b", 0, "missing")) == (5, 5), "the nearest thing around it"
    assert places.value(("missing",)) == (3, 1)


def test_places_hold_in_later_documents_and_indented_ones() -> None:
    documents = loaded("  a: 1\n  b: 2\n---\nc:\n  d: 1\n").documents
    assert [document.line for document in documents] == [1, 4]
    assert places_of(documents[0]).value(("b",)) == (2, 6)
    assert places_of(documents[1]).value(("c", "d")) == (5, 6)


YAML_LIKE = st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`,? \n\t0~<=.\\\0\x85\u2028é"), max_size=80)


@given(st.one_of(st.text(), YAML_LIKE, st.binary()))
def test_arbitrary_text_never_makes_it_crash(text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    result = load("f.yaml", data)
    for document in result.documents:
        assert isinstance(document.value, dict)
        places_of(document)
    for problem in result.problems:
        assert "\n" not in str(problem)
        assert (problem.line, problem.column) >= (1, 1)
