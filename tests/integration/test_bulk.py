"""Many questions at once to a real server: what is the same is the very same, and nothing is left on the connection."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from reconciler.stores.bulk import Answers, Bulk, Questions


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return Redis.from_url(redis_url)


def as_they_are(key: str, answers: Answers) -> Answers:
    return answers


def questions(*names: str) -> Questions:
    return Questions([("HGETALL", name) for name in names])


def test_each_slice_has_its_answers_in_order(redis: Redis) -> None:
    for name in "abc":
        redis.hset(name, "name", name)
    asked = {"1": questions("a", "b"), "2": questions("c", "none"), "3": Questions([])}
    assert Bulk(as_they_are).ask(redis, asked) == {
        "1": [["name", "a"], ["name", "b"]],
        "2": [["name", "c"], []],
        "3": [],
    }


def test_what_is_answered_as_before_is_the_very_same(redis: Redis) -> None:
    redis.hset("a", "name", "a")
    redis.hset("b", "name", "b")
    bulk, asked = Bulk(as_they_are), {"1": questions("a"), "2": questions("b")}
    before = bulk.ask(redis, asked)
    redis.hset("b", "name", "c")
    after = bulk.ask(redis, asked)
    assert after["1"] is before["1"]
    assert (before["2"], after["2"]) == ([["name", "b"]], [["name", "c"]])


def test_another_question_with_the_same_answer_is_not_the_same(redis: Redis) -> None:
    bulk = Bulk(as_they_are)
    before = bulk.ask(redis, {"1": questions("none")})
    assert bulk.ask(redis, {"1": questions("neither")})["1"] is not before["1"]


def test_what_is_not_there_or_something_else_answers_nothing(redis: Redis) -> None:
    redis.set("text", "x")
    asked = {"1": Questions([("HGETALL", "text"), ("XINFO", "GROUPS", "text"), ("XINFO", "GROUPS", "none")])}
    assert Bulk(as_they_are).ask(redis, asked) == {"1": [None, None, None]}


def test_a_refusal_is_raised_and_the_next_question_is_answered(redis: Redis) -> None:
    bulk = Bulk(as_they_are)
    with pytest.raises(ResponseError, match="unknown command"):
        bulk.ask(redis, {"1": Questions([("NOSUCHCOMMAND", "x")]), "2": questions("a"), "3": questions("b")})
    assert redis.get("a") is None
    assert bulk.ask(redis, {"1": questions("a")}) == {"1": [[]]}


def test_a_connection_that_breaks_is_told_and_another_is_made(redis: Redis) -> None:
    bulk = Bulk(as_they_are)
    suicide = Questions([("CLIENT", "KILL", "ID", str(redis.client_id()), "SKIPME", "no")])
    with pytest.raises(Lost):
        bulk.ask(redis, {"1": questions("a"), "2": suicide, "3": questions("b")})
    assert bulk.ask(redis, {"1": questions("a")}) == {"1": [[]]}


def test_answers_may_be_larger_than_what_comes_at_once(redis: Redis) -> None:
    redis.hset("large", "x", "y" * 3_000_000)
    answers = Bulk(as_they_are).ask(redis, {"1": questions("large", "none"), "2": questions("large")})
    assert [len(answer[0][1]) for answer in answers.values()] == [3_000_000, 3_000_000]
