"""Resources that are made as the management API makes them: through its edits, without a server in between."""

from typing import Any

from mqops.bootstrap.control import current_settings, open_stores
from mqops.model import Identity
from reconciler.edit import Edit, edit
from reconciler.pipeline import establish
from reconciler.state import Applied
from reconciler.stores.history import Author


def _anything(applied: Applied | None) -> None:
    """Admits every change."""


def made_over_api(kind: str, tenant: str, name: str, spec: dict[str, Any], **labels: str) -> None:
    """Makes or changes it in the stores of this process's environment; fails when it is refused."""
    body = {"labels": labels, "annotations": {}, "spec": spec}
    _done(Edit(Identity(kind, tenant, name), body, _anything))


def deleted_over_api(kind: str, tenant: str, name: str) -> None:
    """Deletes it; fails when it is refused."""
    _done(Edit(Identity(kind, tenant, name), None, _anything))


def _done(wanted: Edit) -> None:
    settings = current_settings()
    with open_stores(settings) as stores:
        establish(stores, settings)
        edited = edit(wanted, settings, stores, Author("acme/admin", "api"))
    assert not edited.is_refused, edited.plan.refused
    assert edited.report is None or not edited.report.failed, edited.report
