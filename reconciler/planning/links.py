"""Which resources a resource needs, read from its spec. Pure.

``desired`` says it of what is declared; this says it of rows of the catalog, whose references are only in their specs.
"""

from collections.abc import Container

from mqops.model import KINDS, Identity
from reconciler.planning.placement import resolve
from reconciler.state import Resource


def links(resource: Resource, existing: Container[Identity]) -> tuple[Identity, ...]:
    """What must be there for ``resource`` to work: its tenant, and a subscription's topic, handler and dead-letter
    topic. ``existing`` tells queues from topics."""
    identity, spec = resource.identity, resource.spec
    found: list[Identity] = []
    if KINDS[identity.kind].has_tenant:
        found.append(Identity("Tenant", "", identity.tenant))
    if identity.kind == "Subscription":
        found.append(resolve(identity.tenant, spec["topic"], existing))
        if spec["handler"] is not None:
            found.append(Identity("Handler", identity.tenant, spec["handler"]))
        if spec["deadLetter"] is not None:
            found.append(resolve(identity.tenant, spec["deadLetter"], existing))
    return tuple(found)
