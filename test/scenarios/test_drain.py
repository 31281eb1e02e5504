"""SIGTERM: what runs is finished, nothing new begins, nothing is lost, and the exit code is 0."""
import threading
import time

from peers import patience
from peers.web import Answer, Gate

PATIENT = {"DRAIN_TIMEOUT": "20s"}  # where all that runs comes to its end: nothing is cut


def test_a_consumer_finishes_what_it_holds_and_takes_no_more(launch, provider, receiver):
    pipeline, gate = launch(**PATIENT), Gate()
    provider.answers(Answer(hold=gate), path="/held")
    held = [pipeline.post(provider.url("/held"), receiver.url()) for _ in range(2)]
    provider.holds(2)
    pipeline.consumer.term()
    pipeline.consumer.wait_said("drain")
    later = pipeline.post(provider.url("/later"), receiver.url())
    gate.open()
    assert pipeline.consumer.wait() == 0
    for record in pipeline.wait_all(held):
        assert [one["n"] for one in record["attempts"] if one["stage"] == "fetch"] == [1]
    assert not provider.at("/later") and pipeline.state(later) == "queued"
    pipeline.consumer.start()
    pipeline.wait(later, "delivered")
    assert len(provider.requests) == 3 and len(receiver.requests) == 3


def test_a_responder_finishes_what_it_holds(launch, provider, receiver):
    pipeline, gate = launch(**PATIENT), Gate()
    receiver.answers(Answer(hold=gate))
    held = [pipeline.post(provider.url(), receiver.url()) for _ in range(2)]
    receiver.holds(2)
    pipeline.responder.term()
    gate.open()
    assert pipeline.responder.wait() == 0
    pipeline.wait_all(held)
    assert len(receiver.requests) == 2


def test_what_outlasts_the_drain_goes_back_uncounted(launch, provider, receiver):
    """Cut when three quarters of that time are over; the last second is for handing it back."""
    pipeline = launch(DRAIN_TIMEOUT="6s")
    provider.answers(Answer(hold=Gate()), 200)
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    begun = time.monotonic()
    assert pipeline.consumer.end() == 0
    assert time.monotonic() - begun < 6 + 3 * patience.STRETCH
    pipeline.consumer.start()
    record = pipeline.wait(request, "delivered", timeout=15)  # well within the lease of 30 s
    assert [one["n"] for one in record["attempts"] if one["stage"] == "fetch"] == [1]
    assert len(provider.requests) == 2


def test_a_drain_under_load_loses_nothing_and_doubles_nothing(launch, provider, receiver):
    pipeline = launch(consumers=2, responders=2, HOST_CONCURRENCY=8, **PATIENT)
    pairs, ids = [(provider.url(f"/{i}"), receiver.url()) for i in range(600)], []
    posting = threading.Thread(target=lambda: ids.extend(pipeline.post_many(pairs, 4)))
    posting.start()
    (fetches, fetches_too), (delivers, delivers_too) = pipeline.consumers, pipeline.responders
    for worker, after in [(fetches, 50), (delivers, 100), (fetches_too, 200), (delivers_too, 300)]:
        receiver.got(after)
        assert worker.end() == 0
        worker.start()
    posting.join()
    pipeline.wait_all(ids)
    assert sorted(seen.id for seen in receiver.requests) == sorted(ids)
    assert len(provider.requests) == 600


def test_an_api_answers_what_it_was_asked_and_goes(launch, provider, receiver):
    pipeline = launch()
    ids = pipeline.post_many([(provider.url(), receiver.url())] * 50)
    begun = time.monotonic()
    assert pipeline.api.end() == 0
    assert time.monotonic() - begun < 8 * patience.STRETCH
    pipeline.api.start()
    pipeline.wait_all(ids)


def test_sigint_drains_as_well(launch):
    pipeline = launch()
    for service in pipeline.services:
        service.interrupt()
    for service in pipeline.services:
        assert service.wait(15) == 0, service.name
