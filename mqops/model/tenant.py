"""Tenant: who owns topics, subscriptions, handlers and credentials."""

from mqops.model.metadata import Strict


class TenantSpec(Strict):
    """A customer, a team or the platform itself. The tenant named `system` may act for the others."""

    display_name: str = ""
    """What people call it."""
    description: str = ""
    """What it is for."""
