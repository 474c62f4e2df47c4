"""Ids of messages: unlike each other whatever the process does, and telling where to look."""

import os
import random

import pytest

from mqops.message import MAX_PARTITIONS, new_message_id, partition_of_id


def test_seeding_python_does_not_make_ids_repeat() -> None:
    random.seed(1)
    first = new_message_id(0)
    random.seed(1)
    assert new_message_id(0)[8:] != first[8:]


def test_processes_forked_from_one_do_not_make_the_same_ids() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_message_id(0)[8:])
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 8) != new_message_id(0)[8:]


@pytest.mark.parametrize("partition", [0, 1, 255, MAX_PARTITIONS - 1])
def test_an_id_tells_its_partition_and_is_a_uuid_of_version_7(partition: int) -> None:
    message_id = new_message_id(partition)
    assert partition_of_id(message_id) == partition
    assert (message_id[6] >> 4, message_id[8] >> 6) == (7, 0b10)
