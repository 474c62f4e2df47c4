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
    identity = resource.identity
    tenant = (Identity("Tenant", "", identity.tenant),) if KINDS[identity.kind].has_tenant else ()
    return (*tenant, *references(resource, existing).values())


def references(resource: Resource, existing: Container[Identity]) -> dict[str, Identity]:
    """What the spec names, by its field: of a subscription its topic, handler and dead-letter topic, of others
    nothing. ``existing`` tells queues from topics."""
    identity, spec = resource.identity, resource.spec
    if identity.kind != "Subscription":
        return {}
    found = {"topic": resolve(identity.tenant, spec["topic"], existing)}
    if spec["handler"] is not None:
        found["handler"] = Identity("Handler", identity.tenant, spec["handler"])
    if spec["deadLetter"] is not None:
        found["deadLetter"] = resolve(identity.tenant, spec["deadLetter"], existing)
    return found
