"""Tenant: who owns topics, subscriptions, handlers and credentials."""

from typing import Literal

from mqops.model.metadata import Strict


class TenantSpec(Strict):
    """A customer, a team or the platform itself. The tenant named `system` may act for the others."""

    display_name: str = ""
    """What people call it."""
    description: str = ""
    """What it is for."""
    state: Literal["active", "closing"] = "active"
    """`closing` refuses publishing to all it has, while what is there is still handled; only what is closing can be
    deleted."""
