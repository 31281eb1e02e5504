"""Why a request is not moving: each reason there is, forced."""
import time

import pytest

from peers import patience
from peers.web import Answer, Gate


def waits(pipeline, request, reason):
    """Until it says so: what it says."""
    def told():
        waiting = pipeline.record(request).get("waiting", {})
        return waiting if waiting.get("reason") == reason else None

    return patience.until(told, lambda: f"{reason} to be told: {pipeline.record(request)}")


def until(pipeline, waiting, seconds):
    due = pipeline.seconds(waiting["until"]) - time.time()
    assert seconds - 10 < due <= seconds * 1.1 + 0.1, waiting


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def slow(launch):
    return launch(TIME_SCALE=1, PREFETCH=2)


def test_queue(launch, provider, receiver, peer, gate):
    """There is a worker, and the host has room: others were first. ahead: that many at most."""
    pipeline = launch(PREFETCH=1)
    provider.answers(Answer(hold=gate))
    pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    requests = [pipeline.post(peer().url(), receiver.url()) for _ in range(3)]
    for ahead, request in enumerate(requests):
        assert ahead <= waits(pipeline, request, "queue")["ahead"] <= 2
    gate.open()
    pipeline.wait_all(requests)


def test_host_concurrency(launch, provider, receiver, gate):
    pipeline = launch()  # to a shared one the port may be that of a host which has failed: one slot
    provider.answers(Answer(hold=gate))
    requests = [pipeline.post(provider.url(), receiver.url()) for _ in range(3)]
    provider.holds(2)  # a new host has two slots
    waiting = [pipeline.record(request).get("waiting") for request in requests]
    assert sorted(waiting, key=bool) == [None, None, {"reason": "host_concurrency"}]
    gate.open()
    pipeline.wait_all(requests)


def test_held(slow, provider, receiver):
    provider.answers(Answer(503, headers={"Retry-After": "100"}))
    first = slow.post(provider.url(), receiver.url())
    slow.wait_attempts(first, "fetch", 1)
    second = slow.post(provider.url(), receiver.url())
    until(slow, waits(slow, second, "held"), 100)
    until(slow, waits(slow, first, "held"), 100)


def test_breaker(slow, receiver, provider):
    provider.answers(503)
    requests = [slow.post(provider.url(), receiver.url()) for _ in range(10)]
    for request in requests:
        slow.wait_attempts(request, "fetch", 1)
    until(slow, waits(slow, slow.post(provider.url(), receiver.url()), "breaker"), 30)


@pytest.mark.parametrize("stage", ["fetch", "deliver"])
def test_backoff(slow, provider, receiver, stage):
    (provider if stage == "fetch" else receiver).answers(500)
    request = slow.post(provider.url(), receiver.url(), fetch={"schedule": ["50s"]}, callback={"schedule": ["50s"]})
    slow.wait_attempts(request, stage, 1)
    until(slow, waits(slow, request, "backoff"), 50)
    assert slow.state(request) == {"fetch": "queued", "deliver": "fetched"}[stage]


def test_scheduled(slow, provider, receiver):
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 100))
    for when in ({"delay": "100s"}, {"notBefore": later}):
        request = slow.post(provider.url(), receiver.url(), **when)
        until(slow, waits(slow, request, "scheduled"), 100)
        assert slow.state(request) == "scheduled"


def test_paused(slow, provider, receiver):
    request = slow.post(provider.url(), receiver.url(), delay="100s")
    slow.call("POST", f"/requests/{request}/pause")
    assert waits(slow, request, "paused") == {"reason": "paused"}
    assert slow.state(request) == "scheduled"


@pytest.mark.parametrize("queue", ["requests", "responses"])
def test_queue_paused(launch, provider, receiver, queue):
    pipeline = launch()
    assert pipeline.call("POST", f"/queues/{queue}/pause").status == 200
    request = pipeline.post(provider.url(), receiver.url())
    assert waits(pipeline, request, "queue_paused") == {"reason": "queue_paused"}
    pipeline.call("POST", f"/queues/{queue}/resume")
    pipeline.wait(request, "delivered")


def test_joined(pipeline, provider, receiver, gate):
    provider.answers(Answer(hold=gate))
    options = {"dedupeKey": "k", "dedupeMode": "join", "dedupeWindow": "10h"}  # 36 s at this pace
    leader = pipeline.post(provider.url(), receiver.url(), **options)
    provider.holds(1)
    follower = pipeline.post(provider.url(), receiver.url(), **options)
    assert waits(pipeline, follower, "joined") == {"reason": "joined"}
    assert pipeline.state(follower) == "queued"
    gate.open()
    pipeline.wait_all([leader, follower])


@pytest.mark.parametrize("stage", ["consumer", "responder"])
def test_no_worker(launch, provider, receiver, stage):
    pipeline = launch(**{f"{stage}s": 0})
    request = pipeline.post(provider.url(), receiver.url())
    assert waits(pipeline, request, "no_worker") == {"reason": "no_worker"}
    pipeline.hire(stage).start()
    pipeline.wait(request, "delivered")


def test_what_moves_or_has_ended_waits_for_nothing(pipeline, provider, receiver, gate):
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    assert "waiting" not in pipeline.record(request)
    gate.open()
    assert "waiting" not in pipeline.wait(request, "delivered")
