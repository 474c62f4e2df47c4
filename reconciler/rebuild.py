"""The catalog as far as Redis still knows it, after PostgreSQL was lost: through a plan like any other.

Streams and groups come back as rows under the uids that they have, and nothing that is in them is touched. What Redis
does not tell (labels, filters, handlers, credentials) is completed by the next apply of manifests; what no manifest
declares stays, owned by nobody, and is reported.
"""

from dataclasses import dataclass, replace

from mqops.errors import ConfigurationError
from mqops.settings import Settings
from reconciler.apply import Report, apply
from reconciler.garbage import without_garbage_collection
from reconciler.pipeline import establish
from reconciler.planning.plan import Plan, plan
from reconciler.planning.recovered import recovered
from reconciler.request import Execution
from reconciler.state import REBUILT, Observed
from reconciler.stores import Stores, instance, lock, migrate, translated
from reconciler.stores.instance import Instance
from reconciler.stores.observe import observe, observe_live
from reconciler.stores.rows import Rows


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What rebuilding would do."""

    instance: Instance
    """What the Redis server is stamped with, and the database is to be."""
    observed: Observed
    plan: Plan


def plan_rebuild(settings: Settings, stores: Stores) -> Rebuild:
    """What would be taken up; changes nothing, not even an empty database.

    Raises ``ConfigurationError`` when the Redis server is no installation's, or another's than the database, and when
    the database is of another version; ``BrokerNotAvailable`` when a store is away.
    """
    with translated():
        stamp = instance.read_broker(stores.redis, stores.keys)
        if stamp is None:
            raise ConfigurationError(
                f"Redis has no stamp under {stores.keys.prefix!r}, so there is nothing to rebuild from: correct "
                "REDIS_URL or REDIS_KEY_PREFIX; after a flush, `mqops apply` makes everything anew"
            )
        instance.agree(instance.read_database(stores.database), stamp, settings.environment)
        done = migrate.read_applied(stores.database)
        is_empty = not done
        if done and migrate.pending(migrate.load_migrations(), done):
            raise ConfigurationError("the database is not at this version: run `mqops migrate`")
    with without_garbage_collection():
        observed = observe_live(stores, _NOTHING, None) if is_empty else observe(stores)
        desired = recovered(observed, settings)
        found = plan(desired, observed, {})
    return Rebuild(stamp, observed, replace(found, leftovers=(), moved=(), unclaimed=()))


_NOTHING = Rows(applied={}, lost={}, revision=0, overrides={}, suspended={})


def rebuild(settings: Settings, stores: Stores, execution: Execution[Rebuild]) -> tuple[Rebuild, Report]:
    """Migrates and stamps the database, plans, and does what ``execution`` selects.

    Raises like ``plan_rebuild``; and ``Conflict`` when another rebuild goes on for too long, ``Refused`` when the
    catalog moved on meanwhile.
    """
    plan_rebuild(settings, stores)  # what is refused as a whole leaves an empty database empty
    with translated():
        migrate.migrate(stores.database)
    establish(stores, settings)
    with lock.hold(stores.database, {REBUILT}, execution.author, execution.lock_timeout_seconds):
        found = plan_rebuild(settings, stores)
        selected = execution.select(found)
        return found, apply(selected, found.observed, stores, execution.author, execution.oversight)
