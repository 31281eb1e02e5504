"""Pieces of a body that nobody has committed: they go with the fetch that has stored them."""
import pytest

from peers import patience
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
    assert pipeline.call("POST", f"/requests/{request}/cancel").status == 200
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
    assert pipeline.call("POST", f"/requests/{request}/pause").status == 200
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
