"""Which commit manifests are of, asked of the real git."""

import subprocess
from pathlib import Path

import pytest

from reconciler.provenance import read_commit, read_trees


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With one commit of ``manifests/shop/a.yaml`` and ``manifests/news/a.yaml``."""
    git(tmp_path, "init", "-q", "-b", "main")
    for folder in ("shop", "news"):
        write(tmp_path, folder, "one")
    git(tmp_path, "add", ".")
    commit(tmp_path)
    return tmp_path


def write(repository: Path, folder: str, text: str) -> None:
    path = repository / "manifests" / folder / "a.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def git(repository: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@acme.example", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ("git", "-C", str(repository), *who, *arguments), capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def commit(repository: Path) -> str:
    git(repository, "commit", "-qam", "a change", "--allow-empty")
    return git(repository, "rev-parse", "HEAD")


def trees(repository: Path) -> dict[str, str]:
    manifests = repository / "manifests"
    folders = {"all": ".", "shop": "shop/", "news": "news", "none": "none"}
    return read_trees(manifests, read_commit(manifests), folders)


def test_the_commit_is_the_latest_that_touched_the_manifests(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    later = commit(repository)
    found = read_commit(repository / "manifests")
    assert found is not None
    assert (str(found), found.head) == (f"main@sha1:{first}", later)
    assert found.short == f"main@sha1:{first[:10]}"
    git(repository, "checkout", "-q", "--detach")
    assert str(read_commit(repository / "manifests")) == f"sha1:{first}"


@pytest.mark.parametrize("name", ["shop/a.yaml", "new.yaml"])
def test_a_file_that_is_changed_or_not_added_makes_it_dirty_and_one_elsewhere_does_not(
    repository: Path, name: str
) -> None:
    (repository / "elsewhere").write_text("hello")
    clean = read_commit(repository / "manifests")
    assert clean is not None
    assert not clean.is_dirty
    (repository / "manifests" / name).write_text("two")
    assert str(read_commit(repository / "manifests")) == f"{clean}+changes"


def test_each_folder_has_a_tree_that_only_a_commit_of_it_changes(repository: Path) -> None:
    before = trees(repository)
    assert set(before) == {"all", "shop", "news"}
    write(repository, "shop", "two")
    assert trees(repository) == before
    commit(repository)
    after = trees(repository)
    assert {key for key in before if before[key] != after[key]} == {"all", "shop"}


def test_where_git_has_nothing_to_tell_there_is_no_commit(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (repository / "untracked").mkdir()
    empty = tmp_path_factory.mktemp("empty")
    git(empty, "init", "-q")
    assert [read_commit(path) for path in (outside, outside / "none", repository / "untracked", empty)] == [None] * 4
    assert read_trees(outside, None, {"all": "."}) == {}
    monkeypatch.setenv("PATH", str(outside))
    assert read_commit(repository / "manifests") is None


def test_in_a_hook_of_another_repository_it_is_still_the_directory_s(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_commit(repository / "manifests")
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert read_commit(repository / "manifests") == found
