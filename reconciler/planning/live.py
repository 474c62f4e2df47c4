"""What Redis should hold of a resource: the settings in its meta hash. Pure.

One place for both who compares (``drift``) and who writes (``provision``), so that what is written is found equal.
"""

from collections.abc import Container, Mapping

from mqops.durations import parse_duration
from mqops.model import Identity
from reconciler.planning.placement import STORED, Placement
from reconciler.state import Resource

SETTINGS = frozenset(
    {
        *("kind", "tenant", "name", "state", "closing"),
        *("partitions", "max_backlog", "retention_ms", "min_generation"),
        *("topic", "own", "max_attempts", "dead"),
    }
)
"""The fields of meta hashes that say how something is set up. The others are positions and counters, and move with
every message."""


def partitions_of(meta: Mapping[str, str]) -> int:
    """How many partitions a topic's meta says it has; none where somebody wrote something else there."""
    count = meta.get("partitions", "")
    return int(count) if count.isdecimal() else 0


def has_live_part(identity: Identity) -> bool:
    """Whether Redis holds something of resources of this kind."""
    return identity.kind in STORED or identity.kind in ("Subscription", "Tenant")


def topic_meta(resource: Resource, closing: Container[str]) -> dict[str, str]:
    """The settings of a topic or queue, without its ``min_generation``, which depends on its past. In a tenant among
    those that are ``closing`` it takes no messages, whatever its own state."""
    spec, identity = resource.spec, resource.identity
    return {
        "kind": identity.kind,
        "tenant": identity.tenant,
        "name": identity.name,
        "partitions": str(spec["partitions"]),
        "state": "closing" if identity.tenant in closing else str(spec["state"]),
        "max_backlog": "" if spec["maxBacklog"] is None else str(spec["maxBacklog"]),
        "retention_ms": str(parse_duration(spec["retention"])),
    }


def subscription_meta(resource: Resource, placement: Placement) -> dict[str, str]:
    """The settings of a subscription. A topic that has no uid yet is given as the empty string."""
    spec, identity = resource.spec, resource.identity
    topic = placement.topic(identity.tenant, spec["topic"])
    dead = spec["deadLetter"]
    return {
        "kind": identity.kind,
        "tenant": identity.tenant,
        "name": identity.name,
        "topic": placement.uids.get(topic, ""),
        "own": "1" if topic.tenant == identity.tenant else "0",
        "max_attempts": str(spec["retry"]["maxAttempts"]),
        "dead": "" if dead is None else placement.base(placement.topic(identity.tenant, dead)),
        "state": str(spec["state"]),
    }
