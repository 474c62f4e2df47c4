"""Which partition a message goes to."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqops.api.partitioning import Partitioner, partition_of_key
from mqops.errors import InvalidRequest

partitions = st.integers(1, 256)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(("key", "partition"), [("order-1", 7), ("order-2", 5), ("\u00e9", 6), ("a", 3)])
def test_a_keys_partition_never_changes_between_versions(key: str, partition: int) -> None:
    assert partition_of_key(key, 8) == partition


@given(partitions, keys, st.text())
def test_a_key_decides_whatever_the_token(count: int, key: str, token: str) -> None:
    assert Partitioner().choose(count, None, key, token) == partition_of_key(key, count)


@given(partitions, keys)
def test_a_token_decides_where_there_is_no_key(count: int, token: str) -> None:
    assert {Partitioner().choose(count, None, None, token) for _ in range(3)} == {partition_of_key(token, count)}


@given(partitions, st.integers())
def test_an_explicit_partition_is_taken_or_refused(count: int, explicit: int) -> None:
    partitioner = Partitioner()
    if 0 <= explicit < count:
        assert partitioner.choose(count, explicit, "key", "token") == explicit
    else:
        with pytest.raises(InvalidRequest):
            partitioner.choose(count, explicit, "key", "token")


@given(st.integers(2, 64), st.integers(1, 5))
def test_without_anything_every_partition_gets_the_same(count: int, rounds: int) -> None:
    partitioner = Partitioner()
    chosen = Counter(partitioner.choose(count, None, None, "") for _ in range(count * rounds))
    assert set(chosen.values()) == {rounds}
    assert len(chosen) == count
