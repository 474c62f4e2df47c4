"""The order in which what has work is served."""

from collections.abc import Iterator

from mqops.delivery.ring import Ring


def turns(ring: Ring[str]) -> Iterator[str]:
    while (item := ring.next()) is not None:
        yield item


def test_tenants_take_turns_whatever_each_has() -> None:
    ring: Ring[str] = Ring()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        ring.add(item[0], item)
    assert list(turns(ring)) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_what_comes_back_waits_behind_the_rest() -> None:
    ring: Ring[str] = Ring()
    for item in ("a1", "a2", "b1"):
        ring.add(item[0], item)
    served = []
    for _ in range(6):
        item = ring.next()
        assert item is not None
        served.append(item)
        ring.add(item[0], item)
    assert served == ["a1", "b1", "a2", "b1", "a1", "b1"]


def test_an_item_is_in_it_once() -> None:
    ring: Ring[str] = Ring()
    ring.add("a", "a1")
    ring.add("a", "a1")
    assert list(turns(ring)) == ["a1"]
    assert ring.next() is None


def test_what_is_removed_is_not_served() -> None:
    ring: Ring[str] = Ring()
    ring.add("a", "a1")
    ring.add("b", "b1")
    ring.remove("a", "a1")
    ring.remove("a", "never there")
    ring.remove("z", "z1")
    assert list(turns(ring)) == ["b1"]
