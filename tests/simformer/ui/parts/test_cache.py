from __future__ import annotations

from simformer.ui.parts.cache import Cache


def test_the_least_recently_used_value_goes_first():
    cache: Cache[str] = Cache(10)
    cache.put("a", "A", 4)
    cache.put("b", "B", 4)
    assert cache.get("a") == "A"
    cache.put("c", "C", 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("A", None, "C")


def test_a_value_put_again_counts_once():
    cache: Cache[str] = Cache(10)
    cache.put("a", "A", 4)
    for text in ("B", "BB", "BBB"):
        cache.put("b", text, 6)
    assert (cache.get("a"), cache.get("b")) == ("A", "BBB")


def test_a_value_larger_than_the_cache_is_not_kept_and_breaks_nothing():
    cache: Cache[str] = Cache(10)
    cache.put("a", "A", 10)
    cache.put("huge", "H", 11)
    assert (cache.get("huge"), cache.get("a")) == (None, "A")
    cache.put("a", "AA", 11)  # the older value is not the answer any more
    assert cache.get("a") is None
    cache.put("b", "B", 10)
    assert cache.get("b") == "B"
