"""Finds and reads the files of a directory of manifests. The only module of the front that touches the disk.

Nothing leads out of the directory: folders behind symbolic links are not entered, files behind them are read when they
lie inside, special files never. What is hidden (a name that begins with a dot) is not a manifest.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.manifests.load import MAX_FILE_BYTES, too_large
from reconciler.manifests.problem import Problem, Rule, shortened

_SUFFIXES = (".yaml", ".yml")
_LONGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file to read. Names are relative to the directory, with ``/`` between folders."""

    name: str
    home: str
    """Where it really is: differs from ``name`` behind a symbolic link."""


@dataclass(slots=True)
class Tree:
    """What a directory holds."""

    directory: Path
    files: list[ManifestFile] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    given: Mapping[str, bytes] = field(default_factory=dict)
    """The contents of files that are not on the disk, by name."""
    is_complete: bool = True
    """False when something in it could not be looked at: then there is no telling what it declares."""


def find(directory: Path) -> Tree:
    """Every manifest file below ``directory``, in the order of their names."""
    tree = Tree(directory)
    try:
        tree.directory = directory.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = "no such directory" if isinstance(error, FileNotFoundError) else _reason(error)
        _report(tree, "", reason, is_complete=False)
        return tree
    if not tree.directory.is_dir():
        _report(tree, "", "not a directory: name the one that has the manifests", is_complete=False)
        return tree
    _walk(tree)
    tree.files.sort(key=lambda file: file.name)
    if not tree.files and not tree.problems:
        _report(tree, "", "no manifests here: they are files whose names end in .yaml or .yml", is_complete=True)
    return tree


def alone(name: str, data: bytes) -> Tree:
    """A tree of nothing but one file, which was read by somebody else."""
    return Tree(Path(), [ManifestFile(name, name)], given={name: data})


def given(files: Mapping[str, bytes]) -> Tree:
    """A tree of nothing but ``files``, by name, which were read by somebody else."""
    tree = Tree(Path(), given=files)
    for name in sorted(files):
        if _is_relative(name):
            tree.files.append(ManifestFile(name, name))
            tree.folders.update(parents(name))
        else:
            message = "not the name of a manifest: names of folders joined by /, none of which begins with a dot"
            _report(tree, shortened(name), message, is_complete=False)
    if not files:
        _report(tree, "", "no manifests here", is_complete=True)
    return tree


def read(tree: Tree, file: ManifestFile) -> bytes | Problem:
    """The bytes of ``file``, or why they cannot be had. Never waits: what is not a regular file is not read."""
    if file.name in tree.given:
        return tree.given[file.name]
    try:
        # Between finding and reading the file may have been replaced, by a pipe or a link for instance.
        path = f"{tree.directory}/{file.home}"  # a Path takes longer to join than the file to read
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return _problem(file.name, "not a regular file")
            data = _bytes(descriptor, status.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _problem(file.name, _reason(error))
    return too_large(file.name) if len(data) > MAX_FILE_BYTES else data


def _bytes(descriptor: int, size: int) -> bytes:
    """All there is to read, or one byte more than a manifest may have. ``size`` is what it has for now."""
    data = b""
    while len(data) <= MAX_FILE_BYTES:
        more = os.read(descriptor, min(max(size - len(data), 0), MAX_FILE_BYTES) + 1)
        if not more:
            break
        data = data + more if data else more
    return data


def _walk(tree: Tree) -> None:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(tree.directory / folder) as entries:
                found = list(entries)
        except OSError as error:
            _report(tree, folder, _reason(error), is_complete=False)
            continue
        for entry in found:
            name = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith("."):
                continue
            if not _is_text(entry.name) and (is_folder or _is_manifest(entry.name)):
                _report(tree, name, "its name is not UTF-8: rename it", is_complete=False)
            elif is_folder:
                tree.folders.add(name)
                waiting.append(name)
            else:
                _take_file(tree, entry, name)


def _take_file(tree: Tree, entry: os.DirEntry[str], name: str) -> None:
    if entry.is_symlink():
        _take_link(tree, name)
    elif not _is_manifest(name):
        if _is_manifest(name.lower()):
            _report(tree, name, "manifests' names end in .yaml or .yml, in lower case: rename it")
    elif entry.is_file(follow_symlinks=False):
        tree.files.append(ManifestFile(name, name))
    else:
        _report(tree, name, "not a regular file")


def _take_link(tree: Tree, name: str) -> None:
    target = Path(os.path.realpath(tree.directory / name))
    if target.is_dir():
        _report(
            tree, name, "a symbolic link to a folder, which is not followed: move the folder here", is_complete=False
        )
    elif not _is_manifest(name):
        return
    elif not target.is_relative_to(tree.directory):
        _report(tree, name, "a symbolic link that leads out of the directory", is_complete=False)
    elif not target.exists():
        _report(tree, name, "a symbolic link to nothing")
    else:
        tree.files.append(ManifestFile(name, target.relative_to(tree.directory).as_posix()))


def parents(name: str) -> Iterator[str]:
    """The folders that ``name`` lies in, innermost first, without the directory itself."""
    end = name.rfind("/")
    while end > 0:
        yield name[:end]
        end = name.rfind("/", 0, end)


def _is_relative(name: str) -> bool:
    """Whether it can be the name of a file that ``find`` finds."""
    parts = name.split("/")
    return len(name) <= _LONGEST_NAME and name.isprintable() and all(part and part[0] != "." for part in parts)


def _is_manifest(name: str) -> bool:
    return name.endswith(_SUFFIXES)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {text}"


def _problem(name: str, message: str) -> Problem:
    return Problem(name.encode("utf-8", "backslashreplace").decode("utf-8"), 0, 0, "", message, Rule.FILE)


def _report(tree: Tree, name: str, message: str, *, is_complete: bool = True) -> None:
    tree.problems.append(_problem(name, message))
    tree.is_complete &= is_complete
