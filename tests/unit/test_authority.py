"""Sources: which folder governs what, and what it may not."""

from pathlib import Path

import pytest
from trees import checked, manifest, together

ACME = manifest("Tenant", "acme")


def source(name: str, path: str, rest: str = "") -> str:
    return manifest("Source", name, f"{{path: {path}{rest}}}")


def told(directory: Path, files: dict[str, str]) -> list[str]:
    return [str(problem) for problem in checked(directory, files).problems]


def test_without_sources_the_directory_is_one_that_may_declare_anything(tmp_path: Path) -> None:
    result = checked(tmp_path, {"a.yaml": ACME, "deep/down/b.yaml": manifest("Topic", "orders")})
    assert result.problems == ()
    assert list(result.sources) == ["default"]
    assert {resource.managed_by for resource in result.resources} == {"default"}
    default = result.sources["default"]
    assert (default.tenants, default.prune, default.self_heal) == (None, True, True)


def test_each_folder_belongs_to_its_source_and_each_source_to_itself(tmp_path: Path) -> None:
    result = checked(
        tmp_path,
        {
            "sources.yaml": together(
                source("shops", "shops/", ", tenants: [acme]"), source("core", "a/b", ", prune: false")
            ),
            "shops/x/acme.yaml": ACME,
            "a/b/globex.yaml": manifest("Tenant", "globex"),
        },
    )
    assert result.problems == ()
    assert {str(resource.identity): resource.managed_by for resource in result.resources} == {
        "Source core": "core",
        "Source shops": "shops",
        "Tenant acme": "shops",
        "Tenant globex": "core",
    }
    assert not result.sources["core"].prune


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"a/x.yaml": source("b", "b")},
            "a/x.yaml:2:7: kind: Sources are declared in sources.yaml beside the folders, not inside them",
        ),
        ({"sources.yaml": ACME}, "sources.yaml:7:7: kind: only Sources are declared in sources.yaml"),
        ({"b/x.yaml": manifest("Tenant", "b")}, "b/x.yaml: no Source governs this file: declare one for its folder"),
        ({"x.yaml": manifest("Tenant", "b")}, "x.yaml: no Source governs this file"),
        (
            {"a/x.yaml": manifest("Tenant", "globex")},
            "a/x.yaml:3:18: metadata.name: Source a may declare things of acme, not of globex: sources.yaml says which",
        ),
        (
            {"b/x.yaml": manifest("Tenant", "b"), "a/x.yaml": manifest("Topic", "t", tenant="b"),
             "sources.yaml": source("b", "b")},
            "a/x.yaml:3:20: metadata.tenant: Source a may declare things of acme, not of b",
        ),
        ({"sources.yaml": source("b", "aa")}, "sources.yaml:9:14: spec.path: there is no folder aa beside"),
        ({"sources.yaml": source("b", "empty"), "empty/x.md": ""}, "sources.yaml:9:14: spec.path: no manifests are"),
        ({"sources.yaml": source("b", "a/")}, "sources.yaml:9:14: spec.path: overlaps with a of Source a (line 1)"),
        (
            {"sources.yaml": source("b", "a/c"), "a/c/x.yaml": manifest("Topic", "t")},
            "sources.yaml:9:14: spec.path: overlaps with a of Source a (line 1)",
        ),
        ({"sources.yaml": source("api", "b"), "b/x.yaml": manifest("Tenant", "b")}, "sources.yaml:8:18: metadata"),
        ({"sources.yaml": source("b", "../b")}, 'sources.yaml:9:14: spec.path: "../b" is not the path of a folder'),
        ({"sources.yaml": source("b", "/etc")}, 'sources.yaml:9:14: spec.path: "/etc" is not the path of a folder'),
        ({"sources.yaml": source("b", "b/../../c")}, "sources.yaml:9:14: spec.path:"),
        ({"sources.yaml": source("b", ".")}, 'sources.yaml:9:14: spec.path: "." is not the path of a folder'),
    ],
)  # fmt: skip
def test_what_no_source_may_do(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    own = source("a", "a", ", tenants: [acme]")
    start = {"a/acme.yaml": ACME, "sources.yaml": own}
    bootstrap = {"sources.yaml": together(own, files["sources.yaml"])} if "sources.yaml" in files else {}
    found = [problem for problem in told(tmp_path, {**start, **files, **bootstrap}) if "declared twice" not in problem]
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_link_into_another_sources_folder_gives_no_rights(tmp_path: Path) -> None:
    files = {
        "sources.yaml": together(source("a", "a"), source("b", "b")),
        "a/acme.yaml": ACME,
        "b/globex.yaml": manifest("Tenant", "globex"),
    }
    checked(tmp_path, files)
    (tmp_path / "a" / "borrowed.yaml").symlink_to("../b/globex.yaml")
    found = told(tmp_path, {})
    assert "a/borrowed.yaml: a symbolic link to b/globex.yaml, which is not Source a's" in found


def test_broken_sources_do_not_make_every_file_a_problem(tmp_path: Path) -> None:
    found = told(
        tmp_path, {"sources.yaml": "a: [1", "a/acme.yaml": ACME, "b/globex.yaml": manifest("Tenant", "globex")}
    )
    assert found == ["sources.yaml:1:4: a list opened with [ is not closed with ]"]


def test_sources_may_be_mounted_by_a_link_but_not_from_a_governed_folder(tmp_path: Path) -> None:
    files = {"..data/sources.yaml": source("a", "a"), "a/acme.yaml": ACME, "a/sources.yaml": source("b", "b")}
    checked(tmp_path, files)
    (tmp_path / "sources.yaml").symlink_to("..data/sources.yaml")
    (tmp_path / "a" / "sources.yaml").unlink()
    assert told(tmp_path, {}) == []
    (tmp_path / "sources.yaml").unlink()
    (tmp_path / "a" / "sources.yaml").write_text(source("a", "a"))
    (tmp_path / "sources.yaml").symlink_to("a/sources.yaml")
    assert "sources.yaml: no Source governs this file: declare one for its folder in sources.yaml" in told(tmp_path, {})


def renamed(kind: str, name: str, former: str) -> str:
    return manifest(kind, name).replace(f"name: {name}", f"name: {name}, renamedFrom: {former}")


def test_renaming_takes_nothing_from_another_source(tmp_path: Path) -> None:
    """Neither a tenant that is not its own, nor what another declares of one that both may declare things of."""
    sources = together(source("core", "core"), source("shops", "shops", ", tenants: [acme, globex]"))
    core = together(ACME, manifest("Tenant", "umbrella"), manifest("Topic", "orders"))
    files = {"sources.yaml": sources, "core/x.yaml": core}
    topics = together(renamed("Topic", "purchases", "orders"), renamed("Topic", "views", "clicks"))
    (stolen,) = told(tmp_path / "a", {**files, "shops/x.yaml": topics})
    assert stolen.startswith("shops/x.yaml:3:56: metadata.renamedFrom: Topic acme/orders is declared by Source core")
    tenant = renamed("Tenant", "globex", "hooli")
    (foreign,) = told(tmp_path / "b", {**files, "shops/x.yaml": tenant})
    assert "metadata.renamedFrom: Source shops may not take over Tenant hooli: let sources.yaml give it" in foreign
    allowed = {"core/x.yaml": together(core, tenant), "shops/x.yaml": renamed("Topic", "views", "clicks")}
    assert told(tmp_path / "c", {**files, **allowed}) == []
