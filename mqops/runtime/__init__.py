"""What runs beside the configuration, and is written by the data plane alone: operators' overrides of subscriptions,
and when subscriptions last had something done.

The catalog brings overrides to every process (``Catalog.overrides``); nothing here reads. No publish, no hand-out and
no settlement waits for it.
"""

from mqops.runtime.consumed import Consumed
from mqops.runtime.store import RuntimeStore, Wanted

__all__ = ["Consumed", "RuntimeStore", "Wanted"]
