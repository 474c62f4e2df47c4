"""What a row says: its spec, and what that names."""

from functools import lru_cache

from mqops.catalog.entries import Row
from mqops.catalog.index import Named, Reference
from mqops.model import KINDS, RetrySpec, Strict, SubscriptionSpec

_NO_FIELDS: set[str] = set()


def read_spec(row: Row) -> Strict:
    """The spec of ``row``. Raises ``ValidationError`` for one that this version does not know."""
    spec = KINDS[row.kind].spec.model_validate_json(row.spec)
    # Which fields were set is of no use here, and the set that says it is larger than the spec; and most
    # subscriptions retry alike.
    fields = {name: _shared(value) if isinstance(value, RetrySpec) else value for name, value in spec}
    return type(spec).model_construct(_NO_FIELDS, **fields)


@lru_cache(maxsize=1024)
def _shared(retry: RetrySpec) -> RetrySpec:
    """One instance for all that are equal."""
    return retry


def topic_named(tenant: str, reference: str) -> Named:
    """The tenant and the name that ``reference`` means to ``tenant``."""
    owner, separator, name = reference.partition("/")
    return (owner, name) if separator else (tenant, reference)


def references(row: Row, spec: SubscriptionSpec) -> list[Reference]:
    """What a subscription names."""
    references: list[Reference] = [("topic", *topic_named(row.tenant, spec.topic))]
    if spec.handler is not None:
        references.append(("handler", row.tenant, spec.handler))
    if spec.dead_letter is not None:
        references.append(("deadLetter", row.tenant, spec.dead_letter))
    return references
