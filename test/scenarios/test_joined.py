"""A joined request keeps its place and its own time: one fetch for all, whoever pauses or waits."""
import pytest

from peers import patience
from peers.web import Answer, Gate

JOIN = {"dedupeKey": "object", "dedupeMode": "join", "dedupeWindow": "10h"}


@pytest.fixture
def scene(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(body=b'"first"', hold=gate), {"second": 1})
    leader = pipeline.post(provider.url(), receiver.url("/leader"), **JOIN)
    provider.holds(1)
    follower = pipeline.post(provider.url(), receiver.url("/follower"), **JOIN)
    return pipeline, gate, leader, follower


def call(pipeline, request, verb):
    """Of one that no worker holds: done at once."""
    assert pipeline.call("POST", f"/requests/{request}/{verb}").status == 200


def cancel_held(pipeline, request):
    assert pipeline.alter(request, "cancel").status == 200


def test_the_data_is_there_when_it_goes_on(scene, provider, receiver):
    pipeline, gate, leader, follower = scene
    call(pipeline, follower, "pause")
    gate.open()
    pipeline.wait(leader, "delivered")
    patience.until(lambda: pipeline.state(follower) == "fetched", "the data to be handed over")
    assert pipeline.record(follower)["paused"] and not receiver.at("/follower")
    call(pipeline, follower, "resume")
    pipeline.wait(follower, "delivered")
    assert receiver.at("/follower")[0].json["data"] == "first" and len(provider.requests) == 1


def test_it_goes_on_waiting_when_it_goes_on_earlier(scene, provider, receiver):
    pipeline, gate, leader, follower = scene
    call(pipeline, follower, "pause")
    call(pipeline, follower, "resume")
    assert pipeline.record(follower)["waiting"]["reason"] == "joined"
    gate.open()
    pipeline.wait_all([leader, follower])
    assert len(provider.requests) == 1


def test_a_failed_fetch_fails_who_is_paused_too(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(404, hold=gate))
    leader = pipeline.post(provider.url(), receiver.url(), **JOIN)
    provider.holds(1)
    follower = pipeline.post(provider.url(), receiver.url(), **JOIN)
    call(pipeline, follower, "pause")
    gate.open()
    for request in (leader, follower):
        assert pipeline.wait(request, "failed")["error"]["code"] == "http_status"
    assert len(provider.requests) == 1


def test_who_is_paused_does_not_lead(scene, provider, receiver):
    pipeline, gate, leader, paused = scene
    third = pipeline.post(provider.url(), receiver.url("/third"), **JOIN)
    call(pipeline, paused, "pause")
    cancel_held(pipeline, leader)
    gate.open()
    pipeline.wait(third, "delivered")
    assert pipeline.record(paused)["state"] == "queued" and pipeline.record(paused)["paused"]
    call(pipeline, paused, "resume")
    pipeline.wait(paused, "delivered")


def test_an_heir_keeps_its_own_delay(launch, provider, receiver):
    pipeline, gate = launch(TIME_SCALE=1), Gate()
    provider.answers(Answer(hold=gate))
    leader = pipeline.post(provider.url(), receiver.url(), **JOIN)
    provider.holds(1)
    heir = pipeline.post(provider.url(), receiver.url(), delay="1h", **JOIN)
    cancel_held(pipeline, leader)
    assert pipeline.record(heir)["waiting"]["reason"] == "scheduled"
    gate.open()


def test_a_long_line_of_those_who_left_is_passed_over_in_steps(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(hold=gate), 200)
    leader = pipeline.post(provider.url(), receiver.url(), **JOIN)
    provider.holds(1)
    left = [pipeline.post(provider.url(), receiver.url(), **JOIN) for _ in range(150)]
    heir = pipeline.post(provider.url(), receiver.url("/heir"), **JOIN)
    for request in left:
        call(pipeline, request, "cancel")
    cancel_held(pipeline, leader)
    gate.open()
    pipeline.wait(heir, "delivered")
    assert pipeline.redis.call("EXISTS", "{f0}:orphans") == 0


def test_who_joins_late_has_the_data_at_once_and_keeps_its_time(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    pipeline.wait(pipeline.post(provider.url(), receiver.url(), **JOIN), "delivered")
    follower = pipeline.post(provider.url(), receiver.url(), delay="100s", **JOIN)
    assert pipeline.state(follower) == "fetched" and len(provider.requests) == 1
    assert pipeline.record(follower)["waiting"]["reason"] == "scheduled"
