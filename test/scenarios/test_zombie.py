"""A worker that slept longer than its lease wakes to a world that went on, and changes nothing."""
from peers import patience
from peers.pipeline import counted
from peers.web import Answer, Gate


def test_a_consumer_that_wakes_too_late_changes_nothing(launch, provider, receiver):
    pipeline, gate = launch(LEASE="1s"), Gate()
    provider.answers(Answer(body=b'"late"', hold=gate), {"first": 1})
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    sleeper = pipeline.consumer
    sleeper.stop()
    pipeline.hire("consumer").start()
    pipeline.wait(request, "delivered")
    before = pipeline.record(request), pipeline.logs(request)
    gate.open()
    sleeper.cont()
    sleeper.wait_said("lease_lost")
    works_again(pipeline, provider, receiver, sleeper)
    assert (pipeline.record(request), pipeline.logs(request)) == before
    assert [seen.json["data"] for seen in receiver.requests if seen.id == request] == [{"first": 1}]
    assert counted(before[0]) == [("fetch", 1), ("deliver", 1)]


def test_a_responder_that_wakes_too_late_changes_nothing(launch, provider, receiver):
    pipeline, gate = launch(LEASE="1s"), Gate()
    receiver.answers(Answer(500, hold=gate), 200)
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    sleeper = pipeline.responder
    sleeper.stop()
    pipeline.hire("responder").start()
    pipeline.wait(request, "delivered")
    before = pipeline.record(request), pipeline.logs(request)
    gate.open()
    sleeper.cont()
    sleeper.wait_said("lease_lost")
    works_again(pipeline, provider, receiver, sleeper)
    assert (pipeline.record(request), pipeline.logs(request)) == before
    assert len([seen for seen in receiver.requests if seen.id == request]) == 2


def test_a_failure_found_too_late_fails_nothing(launch, provider, receiver):
    pipeline, gate = launch(LEASE="1s"), Gate()
    provider.answers(Answer(404, hold=gate), {"found": 1})
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    sleeper = pipeline.consumer
    sleeper.stop()
    pipeline.hire("consumer").start()
    pipeline.wait(request, "delivered")
    gate.open()
    sleeper.cont()
    sleeper.wait_said("lease_lost")
    assert pipeline.state(request) == "delivered"


def test_what_redis_has_given_away_is_gone_though_its_holder_is_awake(launch, provider, receiver):
    """The last line of defence: the settle itself is refused, whatever its worker believes."""
    pipeline, gate = launch(LEASE="30s"), Gate()
    provider.answers(Answer(404, hold=gate), {"second": 1})
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    for held in pipeline.redis.call("KEYS", "{f0}:held:*"):
        pipeline.redis.call("DEL", held)
    gate.open()
    patience.until(lambda: provider.busy == 0, "the provider to have answered")
    pipeline.wait(pipeline.post(provider.url("/other"), receiver.url("/other")), "delivered")
    assert [event["event"] for event in pipeline.logs(request)] == ["accepted"]


def test_a_nap_shorter_than_the_lease_costs_nothing(launch, provider, receiver):
    pipeline, gate = launch(LEASE="20s"), Gate()
    provider.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    pipeline.consumer.stop()
    gate.open()
    patience.until(lambda: provider.busy == 0, "the provider to have answered")
    pipeline.consumer.cont()
    pipeline.wait(request, "delivered")
    assert len(provider.requests) == len(receiver.requests) == 1


def works_again(pipeline, provider, receiver, worker):
    """The others gone, the one that slept serves alone."""
    for other in pipeline.consumers if worker in pipeline.consumers else pipeline.responders:
        if other is not worker:
            assert other.end() == 0
    pipeline.wait(pipeline.post(provider.url("/again"), receiver.url("/again")), "delivered", 7)
