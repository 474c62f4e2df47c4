"""What is read and settled: a lane, and a claim on one of its entries."""

from dataclasses import dataclass

from mqops.message import Position


@dataclass(frozen=True, slots=True)
class Lane:
    """One partition as one subscription reads it; both are named by uid, and the bucket is the topic's."""

    bucket: int
    subscription: str
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a hand-out gives its holder the right to settle, for as long as the token is the current one."""

    position: Position
    token: int
