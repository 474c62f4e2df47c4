"""Tenant: who owns topics, subscriptions, handlers and credentials."""

from typing import Annotated, Literal

from mqops.model.metadata import Strict
from mqops.model.mutability import LIVE


class TenantSpec(Strict):
    """A customer, a team or the platform itself. The tenant named `system` may act for the others."""

    display_name: Annotated[str, LIVE] = ""
    """What people call it."""
    description: Annotated[str, LIVE] = ""
    """What it is for."""
    state: Annotated[Literal["active", "closing"], LIVE] = "active"
    """`closing` refuses publishing to all it has, while what is there is still handled; only what is closing can be
    deleted."""
