"""The value behind a secret's reference, for the tenant that makes it and for nobody else."""

import os
from pathlib import Path

import pytest

from mqops.handlers.secrets import SecretStore, SecretUnavailable, may_use
from mqops.model import SecretReference

VALUE = "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"


def store(
    tmp_path: Path, environment: dict[str, str] | None = None, tenants: tuple[str, ...] = ("acme",)
) -> SecretStore:
    return SecretStore(tmp_path, environment or {}, lambda: tenants)


def env(name: str) -> SecretReference:
    return SecretReference(env=name)


def file(name: str) -> SecretReference:
    return SecretReference(file=name)


def put(tmp_path: Path, tenant: str, name: str, text: str) -> Path:
    path = tmp_path / tenant / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_tenants_own_variable_is_read(tmp_path: Path) -> None:
    assert store(tmp_path, {"MQOPS_ACME_BILLING": VALUE}).resolve("acme", env("MQOPS_ACME_BILLING")) == VALUE


@pytest.mark.parametrize(
    ("tenant", "name", "tenants", "expected"),
    [
        ("acme", "MQOPS_ACME_KEY", ("acme", "globex"), True),
        ("a-b.c_d", "MQOPS_A_B_C_D_KEY", ("a-b.c_d",), True),
        ("9lives", "MQOPS_9LIVES_KEY", ("9lives",), True),
        ("globex", "MQOPS_ACME_KEY", ("acme", "globex"), False),
        ("acme", "MQOPS_ACMEX_KEY", ("acme",), False),
        ("acme", "MQOPS_ACME", ("acme",), False),
        ("acme", "MQOPS_PRIVATE_TARGETS", ("acme",), False),
        ("a", "MQOPS_A_B_KEY", ("a",), True),
        ("a", "MQOPS_A_B_KEY", ("a", "a-b"), False),
        ("a-b", "MQOPS_A_B_KEY", ("a", "a-b"), True),
        ("a", "MQOPS_A_C_KEY", ("a", "a-b"), True),
        ("a-b", "MQOPS_A_B_KEY", ("a-b", "a.b"), False),
        ("a.b", "MQOPS_A_B_KEY", ("a-b", "a.b"), False),
    ],
)
def test_whose_variable_it_is(tenant: str, name: str, tenants: tuple[str, ...], expected: bool) -> None:
    assert may_use(tenant, name, tenants) is expected


def test_anothers_variable_is_refused_without_a_word_about_its_value(tmp_path: Path) -> None:
    secrets = store(tmp_path, {"MQOPS_ACME_BILLING": VALUE}, ("acme", "globex"))
    with pytest.raises(SecretUnavailable, match="not one that tenant globex may use") as refusal:
        secrets.resolve("globex", env("MQOPS_ACME_BILLING"))
    assert VALUE not in str(refusal.value)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    with pytest.raises(SecretUnavailable, match="MQOPS_ACME_BILLING is not set"):
        secrets.resolve("acme", env("MQOPS_ACME_BILLING"))
    with pytest.raises(SecretUnavailable, match="secret file acme/billing is not in the secrets directory"):
        secrets.resolve("acme", file("billing"))


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_gives_its_text_without_the_last_newline(tmp_path: Path, ending: str) -> None:
    put(tmp_path, "acme", "billing", VALUE + ending)
    assert store(tmp_path).resolve("acme", file("billing")) == VALUE


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = put(tmp_path, "acme", "billing", "the first secret, of 24 bytes")
    secrets = store(tmp_path)
    secrets.resolve("acme", file("billing"))
    path.write_text("another secret, also of 24 bytes")
    assert secrets.resolve("acme", file("billing")).startswith("another")
    replacement = put(tmp_path, "acme", "new", "yet another one, of 24 bytes, too")
    os.utime(replacement, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    replacement.rename(path)
    assert secrets.resolve("acme", file("billing")).startswith("yet")


def test_a_link_may_not_lead_out_of_the_tenants_folder(tmp_path: Path) -> None:
    put(tmp_path, "globex", "theirs", VALUE)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "mine").symlink_to(tmp_path / "globex" / "theirs")
    (tmp_path / "acme" / "passwd").symlink_to("/etc/passwd")
    for name in ("mine", "passwd"):
        with pytest.raises(SecretUnavailable, match="leads out of the tenant's folder"):
            store(tmp_path).resolve("acme", file(name))


def test_a_link_within_the_folder_is_followed_as_mounted_secrets_have_them(tmp_path: Path) -> None:
    put(tmp_path, "acme", "real", VALUE)
    (tmp_path / "acme" / "billing").symlink_to("real")
    assert store(tmp_path).resolve("acme", file("billing")) == VALUE


def test_what_is_not_a_plain_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acme" / "folder").mkdir(parents=True)
    os.mkfifo(tmp_path / "acme" / "pipe")
    (tmp_path / "acme" / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "acme" / "empty").write_text("\n")
    (tmp_path / "acme" / "huge").write_text("x" * 70_000)
    (tmp_path / "acme" / "loop").symlink_to("loop")
    for name in ("folder", "pipe", "binary", "empty", "huge", "loop"):
        with pytest.raises(SecretUnavailable, match=f"secret file acme/{name}"):
            store(tmp_path).resolve("acme", file(name))
