"""kill -9, any process, any moment: what was answered 2xx is delivered, a crash is no attempt."""
import threading

import pytest

from peers import patience
from peers.pipeline import counted
from peers.web import Answer, Gate

MANY = 400


class Load:
    """Posts all the while; knows what was accepted."""

    def __init__(self, pipeline, provider, receiver):
        self.pipeline, self.provider, self.receiver = pipeline, provider, receiver
        self.accepted, self.refused, self.stopped = [], 0, threading.Event()
        self.posting = threading.Thread(target=self._post)
        self.posting.start()

    def _post(self):
        while not self.stopped.is_set() and len(self.accepted) < MANY:
            try:
                provider = self.provider.url(f"/{len(self.accepted)}")
                reply = self.pipeline.ask(provider, self.receiver.url())
            except OSError:
                reply = None
            except Exception:  # an answer cut in the middle: accepted or not, nobody knows
                reply = None
            if reply is not None and reply.status == 202:
                self.accepted.append(reply.json["requestId"])
            else:
                self.refused += 1
                self.stopped.wait(patience.GLANCE)

    def reaches(self, count):
        what = lambda: f"{count} accepted, not {len(self.accepted)}"
        patience.until(lambda: len(self.accepted) >= count, what)

    def end(self):
        self.reaches(MANY)
        self.stopped.set()
        self.posting.join()
        return self.accepted


@pytest.fixture
def busy(launch, provider, receiver):
    """A pipeline under load, whose workers' leases last a second."""
    pipeline = launch(LEASE="1s", consumers=2, responders=2)
    load = Load(pipeline, provider, receiver)
    yield pipeline, load
    load.stopped.set()
    load.posting.join()


def nothing_lost(pipeline, accepted, receiver):
    pipeline.wait_all(accepted, timeout=40)
    assert set(accepted) <= {seen.id for seen in receiver.requests}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["consumer", "responder"])
def test_workers_killed_under_load_lose_nothing(busy, receiver, kind):
    pipeline, load = busy
    victims = pipeline.consumers if kind == "consumer" else pipeline.responders
    for count in (40, 120, 200, 280):
        load.reaches(count)
        victims[count // 80 % 2].restart()
    accepted = load.end()
    nothing_lost(pipeline, accepted, receiver)
    for request in accepted[::20]:
        assert counted(pipeline.record(request)) == [("fetch", 1), ("deliver", 1)]


@pytest.mark.long
def test_the_api_killed_under_load_loses_nothing(busy, receiver):
    pipeline, load = busy
    for count in (50, 150, 250):
        load.reaches(count)
        pipeline.api.restart()
    nothing_lost(pipeline, load.end(), receiver)


@pytest.mark.long
def test_redis_killed_under_load_loses_nothing(busy, receiver):
    pipeline, load = busy
    for count in (50, 150, 250):
        load.reaches(count)
        pipeline.redis.restart()
    nothing_lost(pipeline, load.end(), receiver)
    assert load.refused, "while Redis is away nothing is accepted"


@pytest.mark.long
def test_all_killed_at_once_lose_nothing(busy, receiver):
    pipeline, load = busy
    for count in (60, 180):
        load.reaches(count)
        for process in [*pipeline.services, pipeline.redis.process]:
            process.kill()
        pipeline.redis.start()
        for process in pipeline.services:
            process.start()
    nothing_lost(pipeline, load.end(), receiver)


def test_a_fetch_whose_worker_is_killed_is_begun_again_uncounted(launch, provider, receiver):
    pipeline = launch(LEASE="1s")
    provider.answers(Answer(hold=Gate()), Answer(hold=Gate()), {"third": 1})
    request = pipeline.post(provider.url(), receiver.url())
    for begun in (1, 2):
        provider.got(begun)
        pipeline.consumer.restart()
    record = pipeline.wait(request, "delivered")
    assert counted(record) == [("fetch", 1), ("deliver", 1)]
    assert len(provider.requests) == 3


def test_a_delivery_whose_worker_is_killed_is_made_again_by_the_same_id(launch, provider, receiver):
    pipeline = launch(LEASE="1s")
    receiver.answers(Answer(hold=Gate()), 200)
    request = pipeline.post(provider.url(), receiver.url())
    receiver.got(1)
    pipeline.responder.restart()
    record = pipeline.wait(request, "delivered")
    assert counted(record) == [("fetch", 1), ("deliver", 1)]
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == request
    assert first.body == second.body and len(provider.requests) == 1


def test_a_large_fetch_killed_in_the_middle_leaves_no_half_body(launch, provider, receiver):
    pipeline = launch(LEASE="1s")
    body = b'"' + b"x" * 3_000_000 + b'"'
    provider.answers(Answer(body=body, drip=(65536, 0.2)), Answer(body=body))
    request = pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: provider.bytes_written > 600_000, "the fetch to be under way")
    pipeline.consumer.restart()
    pipeline.wait(request, "delivered")
    assert pipeline.data(request) == body
