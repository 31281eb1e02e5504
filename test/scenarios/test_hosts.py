"""A host is asked no more than it bears, left alone when it fails, and costs the others nothing."""
import time

import pytest

from peers import patience
from peers.web import Answer, Gate

NEW_HOST = 2  # slots of a host that nothing is known of
OFTEN = ",".join(["100ms"] * 50)  # as many retries as there are entries


def warm(pipeline, provider, receiver, count):
    """So many successes one after the other: the host has earned its slots."""
    for i in range(count):
        pipeline.wait(pipeline.post(provider.url("/warm"), receiver.url("/warm")), "delivered")


def crowd(pipeline, provider, receiver, count, path="/held"):
    return pipeline.post_many([(provider.url(path), receiver.url())] * count, 2)


def elsewhere_goes_on(pipeline, peer, receiver, rounds=5):
    """Other hosts are served meanwhile: a clock that ticks with the pipeline's own work."""
    other = peer("another")
    for _ in range(rounds):
        pipeline.wait(pipeline.post(other.url(), receiver.url("/other")), "delivered")


def test_a_new_host_gets_two_slots(launch, provider, receiver, peer):
    pipeline, gate = launch(consumers=2), Gate()
    provider.answers(Answer(hold=gate))
    requests = crowd(pipeline, provider, receiver, 20)
    provider.holds(NEW_HOST)
    elsewhere_goes_on(pipeline, peer, receiver)
    assert provider.busy == NEW_HOST
    waiting = pipeline.record(requests[-1])["waiting"]
    assert waiting["reason"] == "host_concurrency", waiting
    gate.open()
    pipeline.wait_all(requests)


def test_each_success_earns_a_slot_up_to_the_limit(launch, provider, receiver, peer):
    pipeline, gate = launch(consumers=2, HOST_CONCURRENCY=6), Gate()
    warm(pipeline, provider, receiver, 2)
    provider.answers(Answer(hold=gate), path="/held")
    some = crowd(pipeline, provider, receiver, 20)
    provider.holds(NEW_HOST + 2)
    elsewhere_goes_on(pipeline, peer, receiver)
    assert provider.busy == NEW_HOST + 2
    gate.open()
    pipeline.wait_all(some)
    gate = Gate()
    provider.answers(Answer(hold=gate), path="/more")
    more = crowd(pipeline, provider, receiver, 20, "/more")
    provider.holds(6)
    elsewhere_goes_on(pipeline, peer, receiver)
    gate.open()
    pipeline.wait_all(more)
    assert provider.busiest == 6


def test_receivers_have_limits_of_their_own(launch, provider, receiver, peer):
    pipeline, gate = launch(responders=2, HOST_CONCURRENCY=4), Gate()
    receiver.answers(Answer(hold=gate))
    requests = crowd(pipeline, provider, receiver, 20)
    receiver.holds(NEW_HOST)
    elsewhere_goes_on(pipeline, peer, peer("other receiver"))
    assert receiver.busy == NEW_HOST
    gate.open()
    pipeline.wait_all(requests)
    assert receiver.busiest <= 4


def test_ten_failures_open_the_breaker_and_one_probe_closes_it(launch, receiver, peer):
    pipeline = launch(TIME_SCALE=10, FETCH_SCHEDULE=OFTEN)
    for _ in range(3):
        provider, probe = peer("fails"), Gate()
        provider.answers(*[503] * 10, Answer(hold=probe), 200)
        first = pipeline.post(provider.url(), receiver.url())
        pipeline.wait_attempts(first, "fetch", 10)
        tenth = provider.requests[9]
        others = [pipeline.post(provider.url(), receiver.url()) for _ in range(5)]
        waiting = pipeline.record(others[-1])["waiting"]
        if time.monotonic() < tenth.answered + 3.0:
            break  # a look in time; after it the breaker may be over
        probe.open()
    assert waiting["reason"] == "breaker", waiting
    assert pipeline.seconds(waiting["until"]) - time.time() < 4, waiting
    elsewhere_goes_on(pipeline, peer, receiver)
    provider.holds(1)
    eleventh = provider.requests[10]
    assert eleventh.at - tenth.answered >= 3.0 - 0.01, "30 s at a tenth"
    elsewhere_goes_on(pipeline, peer, receiver)
    assert provider.busy == 1 and len(provider.requests) == 11, "one probe"
    probe.open()
    pipeline.wait_all([first, *others])


def test_a_probe_that_fails_leaves_the_breaker_open(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=20, FETCH_SCHEDULE=OFTEN)
    provider.answers(*[502] * 12, 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    pairs = zip(provider.requests, provider.requests[1:])
    waits = [later.at - earlier.answered for earlier, later in pairs]
    assert all(wait >= 1.5 - 0.01 for wait in waits[9:]) and min(waits[:9]) < 1.5, waits


OUTAGES = {"502": 502, "503": 503, "504": 504, "timeout": Answer(hold=Gate()), "refused": None}


@pytest.mark.parametrize("failure", OUTAGES.values(), ids=OUTAGES)
def test_every_kind_of_outage_opens_it(launch, provider, receiver, failure):
    pipeline = launch(TIME_SCALE=1, FETCH_TIMEOUT="20ms", FETCH_SCHEDULE=",".join(["1ms"] * 50))
    provider.answers(failure or 200)
    provider.down() if failure is None else None
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait_attempts(request, "fetch", 10)
    told = lambda: waits_for(pipeline, request, "breaker")
    record = patience.until(told, "the breaker to be told")
    assert len(record["attempts"]) == 10


def waits_for(pipeline, request, reason):
    record = pipeline.record(request)
    return (record.get("waiting") or {}).get("reason") == reason and record


def test_answers_that_are_no_outage_open_no_breaker(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, FETCH_SCHEDULE=",".join(["1ms"] * 50))
    provider.answers(*[500] * 15, 200)
    requests = [pipeline.post(provider.url(f"/{i}"), receiver.url()) for i in range(3)]
    pipeline.wait_all(requests)
    times = [seen.at for seen in provider.requests]
    assert max(later - earlier for earlier, later in zip(times, times[1:])) < 29, "a breaker would take 30 s"


@pytest.mark.long
def test_hanging_hosts_do_not_stop_healthy_ones(launch, provider, receiver, peer):
    pipeline = launch(LOG_LEVEL="warn")
    hanging = [peer(f"hanging {i}", said=Answer(hold=Gate())) for i in range(20)]
    stuck = [pipeline.post(host.url(), receiver.url()) for host in hanging for _ in range(10)]
    for host in hanging:
        host.holds(NEW_HOST)
    begun = time.monotonic()
    requests = crowd(pipeline, provider, receiver, 500, "/fine")
    receiver.got(500)
    took = time.monotonic() - begun
    assert took < 10 * patience.STRETCH, took
    pipeline.wait_all(requests[-5:])
    assert all(host.busiest == NEW_HOST for host in hanging)
    assert pipeline.state(stuck[0]) in ("fetching", "queued")
    for worker in pipeline.workers:
        worker.kill()  # 40 exchanges that never end need no drain


@pytest.mark.long
def test_a_receiver_that_hangs_does_not_stop_the_others(launch, provider, receiver, peer):
    pipeline = launch()
    hanging = peer("hanging", said=Answer(hold=Gate()))
    [pipeline.post(provider.url(), hanging.url()) for _ in range(50)]
    hanging.holds(NEW_HOST)
    pipeline.wait_all([pipeline.post(provider.url(), receiver.url()) for _ in range(50)])
    assert hanging.busiest == NEW_HOST
    for worker in pipeline.workers:
        worker.kill()


def test_one_hosts_backlog_does_not_delay_another(launch, provider, receiver, peer):
    pipeline, gate = launch(LOG_LEVEL="warn"), Gate()
    provider.answers(Answer(hold=gate))
    backlog = crowd(pipeline, provider, receiver, 2000)
    provider.holds(NEW_HOST)
    took = []
    while not took or (min(took) >= 1 * patience.STRETCH and len(took) < 5):  # each time another host
        begun = time.monotonic()
        elsewhere_goes_on(pipeline, peer, receiver, rounds=1)
        took.append(time.monotonic() - begun)
    assert min(took) < 1 * patience.STRETCH, took
    assert pipeline.state(backlog[-1]) == "queued"
    gate.open()
    receiver.got(2000, "/", timeout=60)
