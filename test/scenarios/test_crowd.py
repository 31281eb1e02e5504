"""Many requests: each delivered once, none lost, none twice."""
import collections

import pytest

from peers.pipeline import sanitized

CROWD = 5_000 if sanitized() else 20_000


@pytest.mark.long
def test_a_crowd_is_delivered_each_once(launch, provider, receiver):
    pipeline = launch(consumers=2, responders=2, LOG_LEVEL="warn")
    ids = pipeline.post_many((provider.url(f"/{i}"), receiver.url()) for i in range(CROWD))
    receiver.got(CROWD, timeout=120)
    assert len(set(ids)) == CROWD
    for request in ids[:: CROWD // 50] + ids[-1:]:
        pipeline.wait(request, "delivered")
    counted = collections.Counter(seen.headers["webhook-id"] for seen in receiver.requests)
    assert counted == collections.Counter(ids), "each id exactly once"
    asked = collections.Counter(seen.path for seen in provider.requests)
    assert asked == {f"/{i}": 1 for i in range(CROWD)}


@pytest.mark.long
def test_a_crowd_that_came_before_the_workers_is_served_when_they_come(launch, provider, receiver):
    pipeline = launch(consumers=0, responders=0, LOG_LEVEL="warn")
    count = CROWD // 10
    ids = pipeline.post_many([(provider.url(), receiver.url())] * count)
    waiting = pipeline.record(ids[-1])
    assert waiting["state"] == "queued" and not provider.requests
    for kind in ("consumer", "responder"):
        pipeline.hire(kind).start()
    receiver.got(count, timeout=60)
    pipeline.wait(ids[-1], "delivered")
    assert sorted(seen.id for seen in receiver.requests) == sorted(ids)
