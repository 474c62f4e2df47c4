"""Every Redis key and channel of an installation, in one place.

A tenant lives in one of 16 buckets; the bucket's hash tag in each key keeps them in one Redis Cluster slot, so one
script may touch all of a tenant's topics. Keys are built from uids, which never change, so a rename moves nothing.
Scripts receive a bucket's epoch key and derive the rest from its prefix, in the same spelling as here.

    mq:{b07}:epoch                   string: present once the reconciler prepared this server (gone after a flush)
    mq:{b07}:index                   hash: uid → kind, of all that lives in the bucket
    mq:{b07}:due · :ready            zsets of "<subscription>:<partition>": next timer (ms) · since when there is work;
                                     `due` also has "<topic>:delay": when the next scheduled message is due
    mq:{b07}:held:<consumer>         set of "<subscription>:<partition>" a push worker has taken messages from
    mq:{b07}:<topic>:meta · :groups  hash: settings and counters · hash: subscription uid → own | foreign
    mq:{b07}:<topic>:dedup:<token>   string: the first publish under an idempotency key
    mq:{b07}:<topic>:delay           zset: number and message id → when it is due (ms)
    mq:{b07}:<topic>:delay:b         hash: message id → number, and what is to be stored then
    mq:{b07}:<topic>:<p>:s · :armed  stream · set of subscriptions with nothing left to read
    mq:{b07}:<sub>:meta              hash: settings, positions and counters
    mq:{b07}:<sub>:<p>:lease         zset: entry id → lease deadline (ms)
    mq:{b07}:<sub>:<p>:retry         zset: entry id → when to try again (ms)
    mq:{b07}:<sub>:<p>:flight        hash: entry id → "token:attempt:losses:owner", for each leased or retrying entry
    mq:{b07}:<sub>:<p>:carried       hash: entry id → the fields (MessagePack) of each of these that was redriven
    mq:{b07}:<sub>:<p>:redriven      zset: id of a dead letter that was redriven → until when that is remembered (ms)
"""

from dataclasses import dataclass
from uuid import UUID

BUCKETS = 16

KIND_TOPIC = "topic"
KIND_SUBSCRIPTION = "subscription"


def bucket_of(tenant_uid: str) -> int:
    """The bucket that a tenant's keys live in, for good: its uid never changes."""
    return UUID(tenant_uid).int % BUCKETS


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Key names under ``prefix`` (``REDIS_KEY_PREFIX``, by default ``mq:``)."""

    prefix: str = "mq:"

    def bucket(self, bucket: int) -> str:
        """The common beginning of a bucket's keys."""
        return f"{self.prefix}{{b{bucket:02d}}}:"

    def epoch(self, bucket: int) -> str:
        return self.bucket(bucket) + "epoch"

    def index(self, bucket: int) -> str:
        return self.bucket(bucket) + "index"

    def due(self, bucket: int) -> str:
        return self.bucket(bucket) + "due"

    def ready(self, bucket: int) -> str:
        return self.bucket(bucket) + "ready"

    def held(self, bucket: int, consumer: str) -> str:
        return f"{self.bucket(bucket)}held:{consumer}"

    def meta(self, bucket: int, uid: str) -> str:
        return f"{self.bucket(bucket)}{uid}:meta"

    def groups(self, bucket: int, topic: str) -> str:
        return f"{self.bucket(bucket)}{topic}:groups"

    def stream(self, bucket: int, topic: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{topic}:{partition}:s"

    def delay(self, bucket: int, topic: str) -> str:
        return f"{self.bucket(bucket)}{topic}:delay"

    def armed(self, bucket: int, topic: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{topic}:{partition}:armed"

    def lease(self, bucket: int, subscription: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{subscription}:{partition}:lease"

    def retry(self, bucket: int, subscription: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{subscription}:{partition}:retry"

    def flight(self, bucket: int, subscription: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{subscription}:{partition}:flight"

    def carried(self, bucket: int, subscription: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{subscription}:{partition}:carried"

    def redriven(self, bucket: int, subscription: str, partition: int) -> str:
        return f"{self.bucket(bucket)}{subscription}:{partition}:redriven"

    def dedup(self, bucket: int, topic: str, token: str) -> str:
        return f"{self.bucket(bucket)}{topic}:dedup:{token}"

    # Below: one of each per installation, outside the buckets.

    @property
    def stamp(self) -> str:
        """Hash: installation and environment that this server belongs to."""
        return self.prefix + "stamp"

    @property
    def workers(self) -> str:
        """Zset: a push worker's incarnation → its last heartbeat (ms of the server's clock)."""
        return self.prefix + "workers"

    @property
    def sweeper(self) -> str:
        """String with a lifetime: the process elected to sweep the buckets."""
        return self.prefix + "sweeper"

    @property
    def fence(self) -> str:
        """Counter, written so that there is something to wait for until it is on disk."""
        return self.prefix + "fence"

    def bell(self, installation: str) -> str:
        """Channel: "<bucket> <subscription>:<partition> …" rings when messages arrive where readers had run dry, and
        "<bucket> @<ms>" when the sweeper has to come earlier than it knows.
        Channels know no database number, so the installation is part of the name."""
        return f"{self.prefix}{installation}:bell"

    def repairs(self, installation: str) -> str:
        """Channel: the data plane asks the reconciler to look at a uid whose stream or group is gone."""
        return f"{self.prefix}{installation}:repairs"
