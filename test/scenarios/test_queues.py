"""How the queues stand, and holding a whole one."""
import time

import pytest

from peers import patience
from peers.web import Answer, Gate


def queues(pipeline):
    reply = pipeline.get("/queues")
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/json"
    return reply.json


def test_figures(launch, provider, receiver):
    pipeline, gate = launch(TIME_SCALE=1), Gate()
    idle = {"paused": False, "depth": 0, "delayed": 0, "leased": 0, "workers": 1}
    assert queues(pipeline) == {
        "requests": idle, "responses": idle, "live": 0, "dead": 0, "undeliveredBytes": 0,
    }
    receiver.answers(Answer(hold=gate))
    provider.answers(404, path="/gone")
    pipeline.wait(pipeline.post(provider.url("/gone"), receiver.url()), "failed")
    ids = [pipeline.post(provider.url(), receiver.url()) for _ in range(3)]
    receiver.holds(2)
    pipeline.wait(ids[2], "fetched")
    pipeline.post(provider.url(), receiver.url(), delay="1h")
    now = queues(pipeline)
    assert (now["requests"]["delayed"], now["responses"]["leased"], now["responses"]["depth"]) == (1, 2, 1)
    assert (now["live"], now["dead"], now["undeliveredBytes"]) == (4, 1, 3 * 11)
    gate.open()
    pipeline.wait_all(ids)


def test_the_oldest_that_a_worker_could_take(launch, provider, receiver):
    pipeline = launch()
    pipeline.call("POST", "/queues/requests/pause")
    first, second = [pipeline.post(provider.url(), receiver.url()) for _ in range(2)]
    oldest = pipeline.seconds(queues(pipeline)["requests"]["oldest"])
    assert abs(oldest - pipeline.seconds(pipeline.record(first)["createdAt"])) < 0.1 * patience.STRETCH
    pipeline.call("POST", "/queues/requests/resume")
    pipeline.wait_all([first, second])
    assert "oldest" not in queues(pipeline)["requests"]


@pytest.mark.parametrize("queue", ["requests", "responses"])
def test_a_held_queue_starts_nothing_and_what_runs_finishes(launch, provider, receiver, queue):
    pipeline, gate = launch(), Gate()
    side = provider if queue == "requests" else receiver
    side.answers(Answer(hold=gate), 200)
    running = pipeline.post(provider.url(), receiver.url())
    side.holds(1)
    for _ in range(2):
        reply = pipeline.call("POST", f"/queues/{queue}/pause")
        assert reply.status == 200 and reply.json[queue]["paused"]
    waiting = [pipeline.post(provider.url(), receiver.url()) for _ in range(3)]
    gate.open()
    pipeline.wait(running, "delivered")
    for request in waiting:
        assert pipeline.wait(request, "queued" if queue == "requests" else "fetched")
    assert len(side.requests) == 1
    for _ in range(2):
        assert not pipeline.call("POST", f"/queues/{queue}/resume").json[queue]["paused"]
    pipeline.wait_all(waiting)


def test_a_held_queue_stays_held_over_restarts(launch, provider, receiver):
    pipeline = launch()
    pipeline.call("POST", "/queues/requests/pause")
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.redis.restart()
    for service in pipeline.services:
        service.restart()
    patience.until(pipeline.ready, "the api to be ready")
    assert queues(pipeline)["requests"]["paused"]
    assert pipeline.record(request)["waiting"]["reason"] == "queue_paused" and not provider.requests
    begun = time.monotonic()
    pipeline.call("POST", "/queues/requests/resume")
    pipeline.wait(request, "delivered")
    assert time.monotonic() - begun < 2 * patience.STRETCH, "a resume rings the bell"


def test_there_are_two_queues(pipeline):
    for path in ("/queues/others/pause", "/queues/requests/hold", "/queues/requests"):
        assert pipeline.call("POST", path).status == 404
    assert pipeline.get("/queues/requests/pause").status == 405
