"""Which files a directory of manifests has, and what is not read from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from trees import tree

from reconciler.manifests.load import MAX_FILE_BYTES
from reconciler.manifests.problem import Problem
from reconciler.manifests.source import find, read


def test_files_come_in_the_order_of_their_names_and_hidden_ones_not_at_all(tmp_path: Path) -> None:
    tree(
        tmp_path, {"b.yaml": "", "a/z.yml": "", "a/.hidden.yaml": "", ".git/x.yaml": "", "notes.md": "", "a/c.json": ""}
    )
    found = find(tmp_path)
    assert [file.name for file in found.files] == ["a/z.yml", "b.yaml"]
    assert found.problems == []
    assert found.is_complete


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "no such directory"), ("a.txt", "not a directory"), ("empty", "no manifests here")],
)
def test_a_directory_without_manifests_is_a_problem(tmp_path: Path, name: str, message: str) -> None:
    tree(tmp_path, {"a.txt": "", "empty/notes.md": ""})
    [problem] = find(tmp_path / name).problems
    assert problem.render(tmp_path / name).startswith(f"{tmp_path / name}: {message}")


def test_links_are_followed_to_files_inside_only(tmp_path: Path) -> None:
    root = tree(tmp_path / "manifests", {"real/a.yaml": "a: 1", "..data/b.yaml": "b: 1"})
    outside = tree(tmp_path / "outside", {"c.yaml": "c: 1"})
    (root / "inside.yaml").symlink_to("real/a.yaml")
    (root / "mounted.yaml").symlink_to("..data/b.yaml")
    (root / "folder").symlink_to("real")
    (root / "out.yaml").symlink_to(outside / "c.yaml")
    (root / "gone.yaml").symlink_to("nowhere.yaml")
    (root / "loop.yaml").symlink_to("loop.yaml")
    (root / "notes.md").symlink_to(outside / "c.yaml")
    found = find(root)
    assert {file.name: file.home for file in found.files} == {
        "inside.yaml": "real/a.yaml",
        "mounted.yaml": "..data/b.yaml",
        "real/a.yaml": "real/a.yaml",
    }
    assert {problem.file: problem.message for problem in found.problems} == {
        "folder": "a symbolic link to a folder, which is not followed: move the folder here",
        "out.yaml": "a symbolic link that leads out of the directory",
        "gone.yaml": "a symbolic link to nothing",
        "loop.yaml": "a symbolic link to nothing",
    }
    assert not found.is_complete


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    os.mkfifo(tmp_path / "pipe")
    found = find(tmp_path)
    assert [str(problem) for problem in found.problems] == ["pipe.yaml: not a regular file"]
    assert found.files == []


def test_what_became_something_else_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": "a: 1", "b.yaml": "b: 1", "c.yaml": "c: 1"})
    found = find(tmp_path)
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        (tmp_path / name).unlink()
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("/etc/hostname")
    told = [read(found, file) for file in found.files]
    assert all(isinstance(problem, Problem) for problem in told)
    assert str(told[0]) == "a.yaml: not a regular file"
    assert str(told[2]) == "c.yaml: cannot be read: No such file or directory"


def test_no_more_is_read_of_a_file_than_the_limit(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": b"#" * MAX_FILE_BYTES, "b.yaml": b"#" * 20_000_000})
    found = find(tmp_path)
    allowed, refused = (read(found, file) for file in found.files)
    assert isinstance(allowed, bytes)
    assert str(refused) == "b.yaml: larger than 4 MiB: split it into several files"


@contextmanager
def nobody_in_particular() -> Iterator[None]:
    """Root may read everything, so it becomes somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_a_problem() -> None:
    with TemporaryDirectory() as name:
        top = Path(name)
        tree(top, {"a.yaml": "a: 1", "folder/b.yaml": "b: 1"})
        top.chmod(0o755)
        (top / "a.yaml").chmod(0)
        (top / "folder").chmod(0)
        try:
            with nobody_in_particular():
                found = find(top)
                read_file = read(found, found.files[0])
        finally:
            (top / "folder").chmod(0o700)
    [folder] = found.problems
    assert str(folder) == "folder: cannot be read: Permission denied"
    assert not found.is_complete
    assert str(read_file) == "a.yaml: cannot be read: Permission denied"


def test_names_that_are_no_text_are_shown_escaped(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.yaml")).write_text("a: 1")
    tree(tmp_path, {"two\nlines.yaml": "a: 1", "UPPER.YAML": "a: 1"})
    found = find(tmp_path)
    told = sorted(str(problem) for problem in found.problems)
    assert told == [
        "UPPER.YAML: manifests' names end in .yaml or .yml, in lower case: rename it",
        "caf\\udce9.yaml: its name is not UTF-8: rename it",
    ]
    assert [file.name for file in found.files] == ["two\nlines.yaml"]
    assert str(Problem("two\nlines.yaml", 1, 1, "", "x", "file")) == "two\\nlines.yaml:1:1: x"  # type: ignore[arg-type]
