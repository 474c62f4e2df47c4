"""The catalog as the data plane sees it: what is declared and applied, in memory, a second fresh at most.

``Catalog`` is one immutable view; ``CatalogFeed`` follows PostgreSQL and swaps one view for the next. Requests and
deliveries read ``feed.current`` and never wait for the database. ``Statuses`` asks for what the reconciler noted, when
somebody looks at it. Nothing here writes to the database.
"""

from mqops.catalog.entries import (
    HandlerEntry,
    KeyEntry,
    Principal,
    Row,
    SubscriptionEntry,
    TenantEntry,
    TopicEntry,
    Unusable,
)
from mqops.catalog.feed import CatalogFeed, FeedHealth
from mqops.catalog.index import Catalog
from mqops.catalog.snapshot import SnapshotRefused, read_snapshot
from mqops.catalog.statuses import Statuses

__all__ = [
    "Catalog",
    "CatalogFeed",
    "FeedHealth",
    "HandlerEntry",
    "KeyEntry",
    "Principal",
    "Row",
    "SnapshotRefused",
    "Statuses",
    "SubscriptionEntry",
    "TenantEntry",
    "TopicEntry",
    "Unusable",
    "read_snapshot",
]
