"""A message on its way to a handler: the delivery, and what it is called."""

from dataclasses import dataclass

from mqops.message import Delivery


@dataclass(frozen=True, slots=True)
class Invocation:
    """One attempt at one message."""

    tenant: str
    """Of the subscription: its rights and its secrets are used."""
    topic: str
    """With its tenant: ``acme/orders``. A public topic may be another tenant's."""
    subscription: str
    """Its name, within ``tenant``."""
    delivery: Delivery
