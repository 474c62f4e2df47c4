"""The documents stay true: what they list is what there is, and what they show is what happens."""

import re
import shutil
import socket
import subprocess
import sys
import time
import types
import typing
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.inspect
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from trees import validated
from typer.testing import CliRunner
from variables import variables_read

from mqops.api import (
    edge,
    message_body,
    message_json,
    peek,
    publish_body,
    publisher,
    pull,
    puller,
    schedule_body,
    settle,
)
from mqops.api.deadletters import act
from mqops.api.deadletters.query import FILTERS, FilterBody
from mqops.api.errors import status_of
from mqops.api.management import page, plans
from mqops.api.openapi.document import description
from mqops.api.openapi.operations import OF_A_MESSAGE
from mqops.bootstrap.serve import create_service
from mqops.cli.app import app as command_line
from mqops.durations import format_duration, format_size, parse_duration, parse_size
from mqops.errors import MqopsError
from mqops.handlers.invocation import Invocation
from mqops.handlers.signature import sign, signing_key
from mqops.handlers.webhook import webhook_headers
from mqops.message import Delivery, Envelope, Position
from mqops.model import KINDS, Metadata, Strict, Way
from mqops.settings import Settings, settings_from
from reconciler.manifests import load
from reconciler.manifests.fields import fields_of as explained_fields
from reconciler.manifests.fields import walk
from reconciler.manifests.schema import schema_at
from reconciler.manifests.validate import Declared

ROOT = Path(__file__).parents[2]
MANIFESTS, HTTP_API, OPERATING = (
    (ROOT / "docs" / name).read_text("utf-8") for name in ("manifests.md", "http-api.md", "operating.md")
)
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def section(text: str, heading: str) -> str:
    """What stands under ``heading``, down to the next of any level."""
    [found] = [match for match in HEADING.finditer(FENCE.sub(_blanked, text)) if match[2] == heading]
    following = HEADING.search(FENCE.sub(_blanked, text), found.end())
    return text[found.end() : following.start() if following else len(text)]


def _blanked(fence: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", fence[0])


def rows(text: str) -> dict[str, list[str]]:
    """The tables in ``text``: a row's first cell, without its backticks, → its other cells."""
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines() if line[:1] == "|"]
    return {first.strip("`"): rest for first, *rest in cells if first.startswith("`")}


def blocks(text: str, language: str) -> list[str]:
    return [match[2] for match in FENCE.finditer(text) if match[1] == language]


# --- settings -------------------------------------------------------------------------------------------------------

SETTINGS = rows(section(OPERATING, "Settings"))


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    assert set(SETTINGS) == variables_read()


def test_settings_have_the_default_that_is_written() -> None:
    written = {name: re.fullmatch("`(.*)`", cells[0]) for name, cells in SETTINGS.items()}
    values = {name: match[1] for name, match in written.items() if match and "`" not in match[1]}
    assert len(values) > 20
    assert settings_from(values) == settings_from({})
    for name, value in values.items():  # each has a say, so that another value would have shown
        other = {"0": "1", "docker-compose": "static", "text": "json"}.get(value) or (
            f"{int(value) - 1}" if value.isdecimal() else f"1{value}"
        )
        assert settings_from({name: other}) != settings_from({}), name


def test_other_variables_on_the_page_exist() -> None:
    sources = [*ROOT.glob("mqops/**/*.py"), ROOT / "docker-compose.yml"]
    known = {name for source in sources for name in VARIABLE.findall(source.read_text("utf-8"))}
    assert set(VARIABLE.findall(OPERATING)) - known == set()


# --- kinds and fields -----------------------------------------------------------------------------------------------

SECTIONS = {kind: (kind,) for kind in KINDS} | {kind: ("Topics and queues", kind) for kind in ("Topic", "Queue")}


def model_in(annotation: Any) -> tuple[type[Strict] | None, str]:
    """The model that a field holds, if it does, and what its fields' paths have in between."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return annotation, "."
    for argument in typing.get_args(annotation):
        found, joint = model_in(argument)
        if found is not None:
            return found, joint if typing.get_origin(annotation) in (typing.Union, types.UnionType) else f"[]{joint}"
    return None, ""


def fields_of(model: type[Strict], prefix: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Path, field and default (as manifests write it; ``None`` for none) of every field, those within included."""
    defaults = model.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
    for field in model.model_fields.values():
        path = f"{prefix}{field.alias}"
        yield path, field, defaults.get(field.alias or "")
        inner, joint = model_in(field.annotation)
        if inner is not None:
            yield from fields_of(inner, path + joint)


def spelled(default: Any) -> str:
    if isinstance(default, list):
        return f"[{', '.join(default)}]"
    return {"": '""', "True": "true", "False": "false"}.get(str(default), str(default).removesuffix(".0"))


def written_fields(kind: str) -> dict[str, list[str]]:
    return {path: cells for name in SECTIONS[kind] for path, cells in rows(section(MANIFESTS, name)).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_kind_is_in_its_table_and_nothing_else(kind: str) -> None:
    assert set(written_fields(kind)) == {path for path, _, _ in fields_of(KINDS[kind].spec)}


def test_so_is_every_field_of_the_metadata() -> None:
    assert set(rows(section(MANIFESTS, "One manifest"))) == {path for path, _, _ in fields_of(Metadata)}


@pytest.mark.parametrize("kind", KINDS)
def test_fields_have_the_default_that_is_written(kind: str) -> None:
    for path, field, default in fields_of(KINDS[kind].spec):
        cell = written_fields(kind)[path][1]
        description = field.description or ""
        instead = [*VARIABLE.findall(description), *re.findall(r"`(<\w+>\.deadletter)`", description)]
        if field.is_required():
            assert cell == "required", path
        elif default is None:
            assert cell in (f"`{instead[0]}`" if instead else "none", "any"), path
        else:
            assert cell == ("as below" if model_in(field.annotation)[0] else f"`{spelled(default)}`"), path


@pytest.mark.parametrize("kind", KINDS)
def test_fields_take_what_is_written(kind: str) -> None:
    for path, field, _ in fields_of(KINDS[kind].spec):
        cell = written_fields(kind)[path][0]
        schema = schema_at(kind, ("spec", *(0 if part == "]" else part for part in re.split(r"[.\[]", path))))
        schema = schema.get("items", schema)
        if "minimum" in schema:
            assert f"{schema['minimum']} to {schema['maximum']}" in cell, path
        for choice in schema.get("enum", [schema["const"]] if "const" in schema else []):
            assert f"`{choice}`" in cell, path
        limits = re.fullmatch(r"(duration|size), (\w+) to (\w+)", cell)
        assert bool(limits) == (schema.get("examples") in (["30s", "7d"], ["64KiB", "1MiB"])), path
        if limits:
            parse, spell = (parse_duration, format_duration) if limits[1] == "duration" else (parse_size, format_size)
            reader: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            low, high = parse(limits[2]), parse(limits[3])
            assert [reader.validate_python(spell(value)) for value in (low, high)] == [low, high]
            for value in (high + 1, *([low - 1] if low else [])):
                with pytest.raises(ValidationError):
                    reader.validate_python(spell(value))


# --- how fields may change ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_of_changing_a_field_is_what_the_model_says(kind: str) -> None:
    tables = {f"spec.{path}": cells for path, cells in written_fields(kind).items()}
    tables |= {f"metadata.{path}": cells for path, cells in rows(section(MANIFESTS, "One manifest")).items()}
    for field in walk(explained_fields(kind)):
        if field.mutability is not None and field.path in tables:
            cell = tables.pop(field.path)[3]
            assert cell.removesuffix(", see below") == str(field.mutability), field.path
    assert set(tables) <= {"metadata.tenant", "metadata.renamedFrom"}


@pytest.mark.parametrize("kind", KINDS)
def test_explain_tells_the_limits_and_the_default_that_are_written(kind: str) -> None:
    for field in walk(explained_fields(kind)):
        if field.path.count(".") == 0 or field.path.startswith("metadata."):
            continue
        kind_of_value, default, *_ = written_fields(kind)[field.path.removeprefix("spec.")]
        if field.limits and field.type not in ("text", "list of text"):
            assert field.limits.removesuffix(" entries") in kind_of_value, field.path
        assert all(f"`{choice}`" in kind_of_value for choice in field.choices), field.path
        if field.is_required:
            assert default == "required", field.path
        elif field.default is None:
            assert default.strip("`") == (field.instead or "none"), field.path
        else:
            assert default in (f"`{spelled(field.default)}`", "as below" if field.fields else ""), field.path


def test_each_way_of_changing_has_its_meaning() -> None:
    written = rows(section(MANIFESTS, "Changing and deleting"))
    assert {word: cells[0] for word, cells in written.items()} == {way: way.meaning for way in Way}


@pytest.mark.parametrize(("heading", "command"), [("What a field is", "explain"), ("A tree", "init")])
def test_commands_say_what_the_document_shows(
    heading: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = next(block for block in blocks(section(MANIFESTS, heading), "sh") if block.startswith(f"mqops {command} "))
    assert CliRunner().invoke(command_line, asked.split()[1:]).stdout == blocks(section(MANIFESTS, heading), "")[0]


# --- manifests that are shown ---------------------------------------------------------------------------------------


def test_whole_manifests_in_the_documents_are_valid() -> None:
    shown = [text for page in PAGES for text in blocks(page.read_text("utf-8"), "yaml") if "apiVersion:" in text]
    shown.remove(_broken_manifest())
    results = [result for text in shown for result in validated(text, Settings().manifest_variables)]
    assert len(results) >= 4
    assert [result for result in results if not isinstance(result, Declared)] == []


def _broken_manifest() -> str:
    [text] = blocks(section(MANIFESTS, "Errors"), "yaml")
    return text


def test_validate_says_what_the_document_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    monkeypatch.chdir(tmp_path)
    good = CliRunner().invoke(command_line, ["validate", "manifests"])
    assert good.stdout == blocks(MANIFESTS, "")[0]
    (tmp_path / "manifests").rename("edited")
    (tmp_path / "edited/shops/acme/returns.yaml").write_text(_broken_manifest())
    broken = CliRunner().invoke(command_line, ["validate", "edited"])
    assert [broken.stdout + broken.stderr] == blocks(section(MANIFESTS, "Errors"), "")


# --- the HTTP API ---------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_table_and_nothing_else() -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1", database_url="postgresql://127.0.0.1:1/none")
    routes = {
        f"{method.method} {route.path}"
        for route in falcon.inspect.inspect_app(create_service(settings, "none")).routes or ()
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    }
    assert routes
    assert {row for row in rows(HTTP_API) if re.match("[A-Z]+ /", row)} == routes


def errors(kind: type[MqopsError] = MqopsError) -> Iterator[type[MqopsError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == MqopsError.__module__:
            yield from errors(below)


def test_every_error_code_is_in_the_table_with_its_status() -> None:
    framework = {"METHOD_NOT_ALLOWED": "405"}
    expected = {kind.code: str(status_of(kind(""))) for kind in errors()} | framework
    assert {code: cells[0] for code, cells in rows(section(HTTP_API, "Errors")).items()} == expected


def test_limits_are_those_of_the_code() -> None:
    text = section(HTTP_API, "Limits")
    for written in (
        f"| body of a request | {edge.MAX_BODY_BYTES // 2**20} MiB |",
        f"| messages of a publish | 1 to {publish_body.MAX_MESSAGES} |",
        f"| messages of a batch | 1 to {publish_body.MAX_BATCH_MESSAGES} |",
        f"| headers of a message, with little else | {publisher.MAX_ENVELOPE_BYTES // 2**10} KiB |",
        f"| how far away a message may be scheduled | {schedule_body.LONGEST_MS // 86_400_000} days |",
        f"| key of a message | 1 to {message_body.MAX_KEY_BYTES} bytes |",
        f"| messages of a pull | 1 to {puller.MAX_MESSAGES}, about {puller.MAX_BYTES // 2**20} MiB |",
        f"| ackIds of an ack, nack or extend | 1 to {settle.MAX_ACK_IDS} |",
        f"| `delayMs` of a nack | 0 to {settle.MAX_DELAY_MS}, a week |",
        f"| `leaseMs` of an extend | {settle.MIN_LEASE_MS} to {settle.MAX_LEASE_MS}, a day |",
        f"| `waitMs` of a pull | 0 to {pull.MAX_WAIT_MS} |",
        f"| entries of a list | 1 to {page.MAX_LIMIT} |",
        f"| dead letters of a redrive or discard | 1 to {act.MAX_AT_ONCE}, ",
        f"| files of a plan | {plans.MAX_FILES:,}, each {load.MAX_FILE_BYTES // 2**20} MiB at most |",
        f"| messages of a look | 1 to {peek.MAX_MESSAGES}, about",
    ):
        assert written in text


def test_every_field_of_requests_and_answers_is_in_its_table() -> None:
    options = {f"options.{name}" for name in publish_body.OptionsBody.__struct_encode_fields__}
    headers = {"Idempotency-Key", "X-Correlation-Id", "traceparent", "tracestate"}
    fields = {*publish_body.NamingBody.__struct_encode_fields__, *publish_body.BatchBody.__struct_encode_fields__}
    assert named("Publish") == {*fields, *options, *headers} - {
        "messages",
        "options",
    }
    own = set(schedule_body.RescheduleBody.__struct_encode_fields__)
    assert named("Messages for later") == own
    assert named("Other types") == {*OF_A_MESSAGE, "Mqops-Header-<name>"}
    statuses = set(re.findall(r"``([a-z_]+)``", settle.__doc__ or ""))
    assert named("Pull, ack, nack") == {*message_json.MessageJson.__struct_encode_fields__, *statuses}
    reasons = set(re.findall(r"``(\w+)``", (ROOT / "mqops/message.py").read_text().partition("reason: str")[2][:200]))
    assert named("Dead letters") == reasons


def test_every_field_about_dead_letters_is_in_its_table() -> None:
    assert named("List dead letters") == {*FILTERS, "limit", "cursor"}
    fields = act.RedriveBody.__struct_encode_fields__
    assert set(act.DiscardBody.__struct_encode_fields__) <= set(fields)
    assert named("Redrive and discard") == set(fields)
    assert list(FILTERS) == list(FilterBody.__struct_encode_fields__)


def test_every_field_of_a_plans_request_and_answer_is_in_its_table() -> None:
    answer = description()["components"]["schemas"]["Planned"]["properties"]
    assert named("Plans of manifests") == {*plans.PlansBody.__struct_encode_fields__, *answer}


def test_parameters_of_a_list_are_in_their_table_with_their_defaults() -> None:
    written = rows(section(HTTP_API, "What is declared"))
    assert {name for name in written if name in page.PARAMETERS} == set(page.PARAMETERS)
    assert written["limit"] == [str(page.DEFAULT_LIMIT), f"entries of a page, 1 to {page.MAX_LIMIT}"]
    assert set(re.findall(r"`(\w+)`", written["sort"][1])) == set(page.ORDERS)
    assert written["sort"][0] == f"`{page.DEFAULT_SORT}`"


def test_every_header_of_a_webhook_is_in_the_table() -> None:
    envelope = Envelope({"region": "eu"}, traceparent="00-0-0-01", tracestate="a=b", correlation_id="c")
    delivery = Delivery(Position(1, 1), 0, token=1, attempt=1, id=bytes(16), key="k", envelope=envelope, payload=b"1")
    sent = webhook_headers(Invocation("acme", "acme/orders", "billing", delivery), {}, 1, b"key")
    names = {name.replace("region", "<name>") for name in sent}
    assert set(rows(section(HTTP_API, "Webhooks"))) == names - {"accept-encoding"}


def named(heading: str) -> set[str]:
    """What the first cells of the tables under ``heading`` name."""
    return {name for first in rows(section(HTTP_API, heading)) for name in re.split("`, `", first)}


def test_the_receiver_takes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    [program] = blocks(section(HTTP_API, "Verify the signature"), "python")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secret = "whsec_" + "c2VjcmV0" * 4
    (tmp_path / "receive.py").write_text(program.replace("3011", str(port)))
    (tmp_path / "secret").write_text(secret + "\n")
    with subprocess.Popen([sys.executable, "receive.py", "secret"], cwd=tmp_path, stderr=subprocess.DEVNULL) as running:
        try:
            now, body = int(time.time()), b'{"total":150.0}'
            signed = {"webhook-id": "m1", "webhook-timestamp": str(now)}
            signed["webhook-signature"] = sign(signing_key(secret), "m1", now, body)
            assert _post(port, body, signed) == 204
            assert _post(port, body + b" ", signed) == 401
        finally:
            running.kill()


def _post(port: int, body: bytes, headers: dict[str, str]) -> int:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


# --- links ----------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub gives a page's headings."""
    headings = (match[2] for match in HEADING.finditer(FENCE.sub("", page.read_text("utf-8"))))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", page.read_text("utf-8"))):
        if re.match("[a-z]+:", target):
            continue
        place, _, fragment = target.partition("#")
        linked = (page.parent / place).resolve() if place else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        assert not fragment or fragment in anchors(linked), target
