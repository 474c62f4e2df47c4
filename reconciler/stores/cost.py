"""Counts what goes with deletes and replaces, in bulk: asked for a plan, and again once what goes is closed."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from redis.client import Pipeline

from mqops.keys import Keyspace
from mqops.model import Identity
from reconciler.planning.change import Change
from reconciler.planning.placement import STORED, placement_of
from reconciler.state import Cost, LiveSubscription, LiveTopic, Observed
from reconciler.stores import Stores, translated
from reconciler.stores.observe import read_each

Question = tuple[str, int, str, int]
"""What is asked (`total`, `length`, `scheduled`, `finished` or `leased`); and bucket, uid and partition of what it is
asked of."""

Answers = Mapping[Question, Any]


def read_costs(stores: Stores, observed: Observed, changes: Collection[Change]) -> dict[str, Cost]:
    """By uid, what each thing that goes with ``changes`` would take along, of what Redis holds. Raises
    ``BrokerNotAvailable``."""
    uids = [change.gone.uid for change in changes if change.gone is not None]
    topics = [observed.topics[uid] for uid in uids if uid in observed.topics]
    subscriptions = [observed.subscriptions[uid] for uid in uids if uid in observed.subscriptions]
    if not topics and not subscriptions:
        return {}
    questions = {question for topic in topics for question in _about_topic(topic, observed)}
    questions.update(question for reader in subscriptions for question in _about_subscription(reader, observed))
    with translated():
        answers = read_each(stores.redis, list(questions), lambda pipe, question: _ask(pipe, stores.keys, question))
    letters = _dead_letter_topics(observed)
    costs = {topic.uid: _cost_of_topic(topic, observed, answers, topic.uid in letters) for topic in topics}
    costs.update((reader.uid, _cost_of_subscription(reader, observed, answers)) for reader in subscriptions)
    return costs


def _ask(pipe: "Pipeline", keys: Keyspace, question: Question) -> None:
    about, bucket, uid, partition = question
    if about == "total":
        pipe.hget(keys.meta(bucket, uid), "total")
    elif about == "finished":
        pipe.hmget(keys.meta(bucket, uid), "base", "done")
    elif about == "scheduled":
        pipe.zcard(keys.delay(bucket, uid))
    elif about == "length":
        pipe.xlen(keys.stream(bucket, uid, partition))
    else:
        pipe.zcard(keys.lease(bucket, uid, partition))


def _about_topic(topic: LiveTopic, observed: Observed) -> Iterator[Question]:
    yield "total", topic.bucket, topic.uid, 0
    yield "scheduled", topic.bucket, topic.uid, 0
    for partition in topic.groups:
        yield "length", topic.bucket, topic.uid, partition
    for uid in topic.readers:
        if uid in observed.subscriptions:
            yield from _about_subscription(observed.subscriptions[uid], observed)


def _about_subscription(reader: LiveSubscription, observed: Observed) -> Iterator[Question]:
    topic = observed.topics.get(reader.meta.get("topic", ""))
    if topic is not None:
        yield "total", topic.bucket, topic.uid, 0
        yield "finished", reader.bucket, reader.uid, 0
        for partition in topic.groups:
            yield "leased", reader.bucket, reader.uid, partition


def _cost_of_topic(topic: LiveTopic, observed: Observed, answers: Answers, holds_letters: bool) -> Cost:
    readers = [observed.subscriptions[uid] for uid in topic.readers if uid in observed.subscriptions]
    costs = [_cost_of_subscription(reader, observed, answers) for reader in readers]
    messages = sum(_number(answers["length", topic.bucket, topic.uid, partition]) for partition in topic.groups)
    unfinished = messages if holds_letters or not readers else max(cost.unfinished for cost in costs)
    scheduled = _number(answers["scheduled", topic.bucket, topic.uid, 0])
    in_flight = sum(cost.in_flight for cost in costs)
    return Cost(messages, unfinished + scheduled, in_flight, len(readers), scheduled)


def _cost_of_subscription(reader: LiveSubscription, observed: Observed, answers: Answers) -> Cost:
    topic = observed.topics.get(reader.meta.get("topic", ""))
    if topic is None:
        return Cost(0, 0, 0, 0)
    answer = answers["finished", reader.bucket, reader.uid, 0]
    finished = sum(map(_number, answer)) if isinstance(answer, list) else 0
    unfinished = _number(answers["total", topic.bucket, topic.uid, 0]) - finished
    leased = sum(_number(answers["leased", reader.bucket, reader.uid, partition]) for partition in topic.groups)
    return Cost(0, max(0, unfinished), leased, 0)


def _dead_letter_topics(observed: Observed) -> set[str]:
    """Uids: what a dead letter was read by is not what finishes it."""
    placement = placement_of(observed, ())
    references: set[Identity] = {
        placement.topic(identity.tenant, applied.resource.spec["deadLetter"])
        for identity, applied in observed.applied.items()
        if identity.kind in ("Subscription", "Queue") and applied.resource.spec["deadLetter"] is not None
    }
    return {
        observed.applied[identity].uid
        for identity in references
        if identity in observed.applied and identity.kind in STORED
    }


def _number(answer: Any) -> int:
    """A key that holds something else than ours, or nothing, counts for nothing."""
    try:
        return int(answer)
    except (TypeError, ValueError):
        return 0
