"""Pieces of a body that nobody has committed: they go with the fetch that has stored them."""
import time

import pytest

from peers import patience
from peers.redis import Redis
from peers.web import Answer

KIB, MIB = 1 << 10, 1 << 20
BODY = b"x" * MIB


def stored(pipeline):
    return len(pipeline.redis.call("KEYS", "{f0}:b:*"))


def loose(pipeline):
    """(bytes that count as uncommitted, keys that note whose they are)."""
    notes = [key.decode() for kind in ("loose:*", "cut*") for key in pipeline.redis.call("KEYS", "{f0}:" + kind)]
    return int(pipeline.redis.call("HGET", "{f0}:c", "loose") or 0), sorted(notes)


def none_left(pipeline):
    assert stored(pipeline) == 0
    assert loose(pipeline) == (0, [])


def breaks_off(at=900 * KIB):
    return Answer(body=BODY, type="text/plain", cut=at)


def stalls(**options):
    """Half of it, and then nothing."""
    return Answer(body=BODY[: MIB // 2], length=MIB, type="text/plain", **options)


def test_a_failed_fetch_leaves_none(launch, provider, receiver):
    pipeline = launch()
    provider.answers(breaks_off())
    pipeline.wait(pipeline.post(provider.url(), receiver.url(), fetch={"retries": 0}), "failed")
    none_left(pipeline)


def test_what_waits_for_its_next_attempt_keeps_none(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(breaks_off(), Answer(body=BODY, type="text/plain"))
    request = pipeline.post(provider.url(), receiver.url(), fetch={"schedule": ["1h"]})
    pipeline.wait_attempts(request, "fetch", 1)
    none_left(pipeline)


def test_a_cancelled_fetch_leaves_none(launch, provider, receiver):
    pipeline = launch()
    provider.answers(stalls())
    request = pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: stored(pipeline), "a piece to be stored")
    assert loose(pipeline)[0] > 0
    assert pipeline.alter(request, "cancel").status == 200
    none_left(pipeline)


def test_what_was_committed_is_noted_no_more(launch, provider, receiver):
    pipeline = launch()
    provider.answers(Answer(body=BODY, type="text/plain"))
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert loose(pipeline) == (0, []) and stored(pipeline) >= 4
    assert pipeline.data(request) == BODY


@pytest.mark.parametrize("goes_on", [True, False], ids=["to the end", "and fails"])
def test_what_a_cut_has_left_stays_until_the_next_attempt(launch, provider, receiver, goes_on):
    pipeline = launch(LEASE="20s")
    name = {"ETag": '"name"'}

    def rest(seen):
        start = int(seen.headers["range"][len("bytes="):-1])
        said = {"Content-Range": f"bytes {start}-{MIB - 1}/{MIB}"}
        return Answer(206, body=BODY[start:], type=None, headers=said, cut=None if goes_on else 1000)

    provider.answers(stalls(headers=name), rest)
    request = pipeline.post(provider.url(), receiver.url(), fetch={"retries": 0})
    patience.until(lambda: stored(pipeline), "a piece to be stored")
    assert pipeline.alter(request, "pause").status == 200
    kept, notes = loose(pipeline)
    assert notes == ["{f0}:cut", "{f0}:cuts"]
    sizes = [pipeline.redis.call("STRLEN", key) for key in pipeline.redis.call("KEYS", "{f0}:b:*")]
    assert kept == sum(sizes) > 0
    assert pipeline.call("POST", f"/requests/{request}/resume").status == 200
    pipeline.wait(request, "delivered" if goes_on else "failed")
    assert loose(pipeline) == (0, [])
    if goes_on:
        assert pipeline.data(request) == BODY
    else:
        none_left(pipeline)


def test_who_dies_leaves_none(launch, provider, receiver):
    pipeline = launch(LEASE="1s")
    provider.answers(stalls(), Answer(body=b"small"))
    request = pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: stored(pipeline), "a piece to be stored")
    pipeline.consumer.restart()
    pipeline.wait(request, "delivered", timeout=30)
    none_left(pipeline)


# -- 16 MiB of Redis: from a quarter on nothing is begun, and bodies may take half

QUARTER, HALF = 4 * MIB, 8 * MIB


@pytest.fixture
def small(launch, cast, tmp_path):
    return lambda **options: launch(redis=cast(Redis(str(tmp_path), maxmemory="16mb")).start(), **options)


SLOWLY = Answer(body=b"x" * 2 * MIB, type="text/plain", drip=(65536, 0.1))


def others_hold(pipeline, size):
    """As if other fetches had stored so much and were still under way."""
    pipeline.redis.call("HSET", "{f0}:c", "loose", size)


def looks_again(pipeline):
    evals = lambda: int(pipeline.redis.info("commandstats")["cmdstat_evalsha"].split("=")[1].split(",")[0])
    said = evals()
    patience.until(lambda: evals() > said + 6, "the consumer to look again, and again")


def test_what_is_not_committed_stops_new_fetches_too(small, provider, receiver):
    pipeline = small()
    others_hold(pipeline, QUARTER + 1)
    request = pipeline.post(provider.url(), receiver.url())
    looks_again(pipeline)
    assert provider.requests == []
    others_hold(pipeline, QUARTER)
    pipeline.wait(request, "delivered")


def test_a_body_that_finds_no_room_goes_back_and_waits_for_it(small, provider, receiver):
    pipeline = small()
    provider.answers(SLOWLY, Answer(body=BODY))
    request = pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: stored(pipeline), "a piece to be stored")
    others_hold(pipeline, HALF)
    patience.until(lambda: stored(pipeline) == 0, "what it has stored to go")
    looks_again(pipeline)
    assert len(provider.requests) == 1 and pipeline.record(request)["attempts"] == []
    others_hold(pipeline, 0)
    record = pipeline.wait(request, "delivered")
    assert [one["n"] for one in record["attempts"] if one["stage"] == "fetch"] == [1]


def test_who_had_to_give_way_does_not_ask_at_once(small, provider, receiver):
    pipeline = small(TIME_SCALE=1)
    provider.answers(SLOWLY, Answer(body=BODY))
    request = pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: stored(pipeline), "a piece to be stored")
    others_hold(pipeline, HALF)
    waits = patience.until(lambda: pipeline.record(request).get("waiting"), "it to wait")
    others_hold(pipeline, 0)
    assert waits["reason"] == "backoff", waits
    assert 5 < pipeline.seconds(waits["until"]) - time.time() <= 11, waits


def test_a_body_for_which_there_never_is_room_is_too_large(small, provider, receiver):
    pipeline = small(DATA_MAX="64MiB")
    provider.answers(lambda seen: Answer(body=(b"x" * 65536 for _ in range(HALF // 65536 + 1)), framing="chunked"))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "too_large" and len(provider.requests) == 1
    none_left(pipeline)


@pytest.mark.parametrize("why", ["room is needed", "its time is over"])
def test_what_a_cut_has_left_gives_way(small, provider, receiver, why):
    pipeline = small()
    provider.answers(stalls(headers={"ETag": '"name"'}), Answer(body=BODY))
    provider.answers({"small": 1}, path="/other")
    request = pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: stored(pipeline), "a piece to be stored")
    assert pipeline.alter(request, "pause").status == 200
    [token] = pipeline.redis.call("ZRANGE", "{f0}:cuts", 0, -1)
    if why == "room is needed":
        pipeline.redis.call("HINCRBY", "{f0}:c", "loose", QUARTER)
    else:
        pipeline.redis.call("ZADD", "{f0}:cuts", 1, token)
    pipeline.post(provider.url("/other"), receiver.url())
    patience.until(lambda: not pipeline.redis.call("EXISTS", "{f0}:cuts"), "it to go")
    assert loose(pipeline)[0] in (0, QUARTER) and stored(pipeline) == 0
    others_hold(pipeline, 0)
    assert pipeline.call("POST", f"/requests/{request}/resume").status == 200
    pipeline.wait(request, "delivered")
    assert pipeline.data(request) == BODY
