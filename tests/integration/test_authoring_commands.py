"""The commands for who writes manifests, as they are run: init, explain, completion."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from commands import MQOPS, Desk, environment
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from mqops.cli.app import app
from mqops.model import KINDS, Way, mutability_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Without stores: what runs here needs none."""
    return Desk(tmp_path, {})


@pytest.fixture
def started(tmp_path: Path, database_url: str, redis_url: str) -> Desk:
    """With the starter tree in ``manifests``, and nothing applied."""
    desk = Desk(tmp_path, {"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    desk.succeed("init")
    return desk


# --- init -----------------------------------------------------------------------------------------------------------


def test_the_starter_tree_is_valid_applies_and_is_then_settled(started: Desk) -> None:
    assert started.succeed("validate") == "6 resources in 3 files, 1 source: valid\n"
    applied = started.succeed("apply", "--auto-approve")
    assert applied.endswith("Applied revision 1: 7 created.\n")
    assert started.succeed("plan", "--detailed-exitcode").startswith("No changes.")
    assert started.succeed("get", "subscriptions", "-o", "name") == "acme/billing\nacme/reports\n"


def test_init_says_what_it_wrote_and_what_to_run_next(desk: Desk) -> None:
    told = desk.succeed("init", "my shop")
    written = {str(path.relative_to(desk.folder)) for path in desk.folder.rglob("*") if path.is_file()}
    assert {line.strip() for line in told.partition("\nNext:")[0].splitlines()} == written
    commands = re.findall(r"^  mqops (\S+)", told.partition("\nNext:")[2], re.MULTILINE)
    assert commands == ["validate", "up", "listen", "publish", "pull"]
    assert "mqops validate 'my shop'" in told


def test_an_editor_finds_the_schema_beside_each_manifest_and_the_manifests_keep_to_it(desk: Desk) -> None:
    desk.succeed("init")
    files = sorted((desk.folder / "manifests").rglob("*.yaml"))
    assert len(files) == 3
    for path in files:
        first = path.read_text().partition("\n")[0]
        schema = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
        validator = Draft202012Validator(json.loads(schema.read_text()))
        documents = list(yaml.safe_load_all(path.read_text()))
        assert documents
        assert [error.message for document in documents for error in validator.iter_errors(document)] == []
        assert not validator.is_valid({**documents[0], "kind": "Topc"})


def test_init_overwrites_nothing(desk: Desk) -> None:
    desk.succeed("init")
    mine = desk.folder / "manifests/acme/orders.yaml"
    mine.write_text("# mine\n")
    again = desk.run("init")
    assert again.returncode == 1
    assert again.stderr.startswith("error: manifests has manifests already (acme/orders.yaml)")
    assert mine.read_text() == "# mine\n"

    (desk.folder / "other/acme").mkdir(parents=True)
    (desk.folder / "other/acme/orders.yaml").symlink_to("nowhere")
    taken = desk.run("init", "other")
    assert taken.returncode == 1
    assert [path.name for path in (desk.folder / "other").iterdir()] == ["acme"]

    (desk.folder / "file").write_text("")
    assert desk.run("init", "file").stderr == "error: file is not a directory: name another\n"


def test_init_leaves_what_is_no_manifest_alone(desk: Desk) -> None:
    (desk.folder / "README.md").write_text("# Mine\n")
    desk.succeed("init", ".")
    assert (desk.folder / "README.md").read_text() == "# Mine\n"
    assert desk.succeed("validate", ".") == "6 resources in 3 files, 1 source: valid\n"


# --- explain --------------------------------------------------------------------------------------------------------


def test_a_field_is_explained(desk: Desk) -> None:
    assert desk.succeed("explain", "Topics.spec.partitions").splitlines() == [
        "Topic.spec.partitions",
        "",
        "  type      whole number, 1 to 256",
        "  default   1",
        "  changing  more: live; fewer: replace",
        "",
        "Streams the messages are spread over; a key always lands in the same one.",
        "",
        "  live     applied without an interruption, and known to every process within a second or so",
        f"  replace  {Way.REPLACE.meaning}",
        "",
        f"Changing it: {mutability_of(KINDS['Topic'].spec.model_fields['partitions']).note}.",
    ]
    retention = desk.succeed("explain", "topic.spec.retention")
    assert "  type      duration, 1s to 3650d\n  default   DEFAULT_TTL\n" in retention
    assert "  one of    active, paused\n" in desk.succeed("explain", "SUBSCRIPTION.spec.state")


def explained(*arguments: str) -> str:
    """What `mqops explain` prints; in this process, which is faster."""
    done = CliRunner().invoke(app, ["explain", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_every_field_within_can_be_explained(kind: str) -> None:
    whole = json.loads(explained(KINDS[kind].plural, "-o", "json"))
    assert whole["kind"] == kind
    assert whole["meaning"]
    paths = [field["path"] for field in _all(whole["fields"])]
    assert paths[:2] == ["apiVersion", "kind"]
    assert [field["path"] for field in _all(whole["fields"]) if not field["meaning"]] == []
    shown = explained(kind)
    assert [line.split()[0] for line in shown.splitlines()[5:]] == [path.rpartition(".")[2] for path in paths]
    last = json.loads(explained(f"{kind}.{paths[-1]}", "-o", "json"))
    assert last == {"kind": kind, **_all(whole["fields"])[-1]}


def _all(fields: list[dict[str, object]]) -> list[dict[str, object]]:
    found = []
    for field in fields:
        inner = field["fields"]
        assert isinstance(inner, list)
        found += [field, *_all(inner)]
    return found


def test_a_mapping_is_explained_with_what_is_in_it() -> None:
    shown = explained("subscription.spec.retry").splitlines()
    assert [line.split()[0] for line in shown[-6:]] == [
        "FIELD",
        "maxAttempts",
        "initialDelay",
        "multiplier",
        "maxDelay",
        "jitter",
    ]
    spellings = ("credential.spec.keys.sha256", "credential.spec.keys[].sha256", "credential.spec.keys[0].sha256")
    assert len({explained(spelling) for spelling in spellings}) == 1


def test_without_a_kind_the_kinds_are_listed(desk: Desk) -> None:
    listed = desk.succeed("explain").splitlines()[1:]
    assert [line.split()[0] for line in listed] == list(KINDS)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("tpoic", "there is no kind 'tpoic': did you mean topic?"),
        ("topic.retention", "Topic has no field 'retention': did you mean topic.spec.retention?"),
        ("topics.spec.retntion", "Topic has no field 'spec.retntion': did you mean topic.spec.retention?"),
        ("queue.spec.max_attempts", "Queue has no field 'spec.max_attempts': did you mean queue.spec.maxAttempts?"),
        ("queue.zzz", "Queue has no field 'zzz': `mqops explain queue` lists what there is"),
    ],
)
def test_what_is_not_there_is_an_error_with_the_nearest(asked: str, message: str, desk: Desk) -> None:
    done = desk.run("explain", asked)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {message}\n")


# --- completion -----------------------------------------------------------------------------------------------------

_ASK = """
eval "$(mqops completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"$(complete -p mqops | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" mqops
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def completed(tmp_path: Path) -> Callable[..., list[str]]:
    """What bash completes a command line to, the last word of which is being written."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    (tmp_path / "mqops").write_text(f'#!/bin/sh\nexec {MQOPS[0]} -m mqops.cli "$@"\n')
    (tmp_path / "mqops").chmod(0o755)

    def complete(*words: str) -> list[str]:
        settings = environment(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        asked = [bash, "--norc", "-c", _ASK, "ask", "mqops", *words]
        done = subprocess.run(
            asked, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return complete


def test_bash_completes_commands_options_kinds_and_fields(completed: Callable[..., list[str]]) -> None:
    assert completed("expl") == ["explain"]
    assert {"--take-over", "--output"} <= set(completed("plan", "--"))
    assert completed("diff", "-o", "") == ["text", "name"]
    assert completed("get", "") == [kind.plural for kind in KINDS.values()]
    assert completed("describe", "s") == ["sources", "subscriptions"]
    assert completed("explain", "cred") == ["credentials"]
    assert completed("explain", "topic.spec.re") == ["topic.spec.retention"]
    assert completed("explain", "topic.") == [f"topic.{name}" for name in ("apiVersion", "kind", "metadata", "spec")]
    assert completed("explain", "zzz.") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell_and_it_asks_this_program(shell: str, desk: Desk) -> None:
    script = desk.succeed("completion", shell)
    assert f"_MQOPS_COMPLETE=complete_{shell}" in script
    assert {"bash": "complete -o default -F", "zsh": "#compdef mqops\n", "fish": "complete --command mqops"}[
        shell
    ] in script
    interpreter = shutil.which(shell)
    if interpreter is not None:
        subprocess.run([interpreter, "-n"], input=script, text=True, check=True, timeout=30)
