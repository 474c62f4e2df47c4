"""Telling Redis what became of a message, for as long as it takes.

With Redis away an outcome is kept and told when it is back: a handler that succeeded should not have to run twice. The
message stays in its slot meanwhile, so a long outage stops the fetching instead of filling the memory.
"""

import asyncio
import logging

from mqops.delivery.settlement import Again, Dead, Done, Settlement
from mqops.errors import BrokerNotAvailable
from mqops.streams import Claim, Lane, Streams

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


async def settle(streams: Streams, lane: Lane, claim: Claim, settlement: Settlement) -> bool:
    """True when it is settled; False when the message is not this worker's any more (then nothing has changed, or an
    earlier try had settled it and only its reply was lost). Waits out Redis being away; may be cancelled."""
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await _tell(streams, lane, claim, settlement)
        except BrokerNotAvailable as error:
            log.debug("settling waits: %s", error)
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)


async def _tell(streams: Streams, lane: Lane, claim: Claim, settlement: Settlement) -> bool:
    match settlement:
        case Done():
            results = await streams.ack(lane, [claim])
        case Again(delay_ms, counts):
            results = await streams.retry(lane, [claim], [delay_ms], counts=counts)
        case Dead(reason, detail):
            results = await streams.dead_letter(lane, [claim], reason, detail)
    return results[0]
