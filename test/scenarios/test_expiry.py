"""What has not been delivered by its time fails as expired, wherever it waits, and soon after."""
import pytest

from peers import patience
from peers.pipeline import counted
from peers.web import Answer, Gate

LIFE = 0.6  # seconds
SOON = 1.5  # after that: reserve looks once a second at what a worker found too young


def expired(pipeline, request):
    record = pipeline.wait(request, "failed")
    assert record["error"]["code"] == "expired", record
    age = pipeline.seconds(record["finishedAt"]) - pipeline.seconds(record["createdAt"])
    assert LIFE <= age < LIFE + SOON * patience.STRETCH, record
    return counted(record)


@pytest.fixture
def slow(launch):
    """Real time, so that nothing but its expiry ends a wait."""
    return launch(TIME_SCALE=1)


def test_before_its_delay_is_over(slow, provider, receiver):
    assert expired(slow, slow.post(provider.url(), receiver.url(), delay="1h", expiresAfter=LIFE)) == []
    assert not provider.requests


@pytest.mark.parametrize("stage, done", [("requests", []), ("responses", [("fetch", 1)])])
def test_in_a_queue_that_is_held(slow, provider, receiver, stage, done):
    assert slow.call("POST", f"/queues/{stage}/pause").status == 200
    assert expired(slow, slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)) == done
    assert not receiver.requests


def test_while_its_host_asks_for_time(slow, provider, receiver):
    provider.answers(Answer(503, headers={"Retry-After": "3600"}))
    first = slow.post(provider.url(), receiver.url(), expiresAfter="1h")
    slow.wait_attempts(first, "fetch", 1)
    second = slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)
    assert slow.record(second)["waiting"]["reason"] == "held"
    assert expired(slow, second) == []


def test_while_its_host_has_no_slot(launch, provider, receiver):
    slow, gate = launch(TIME_SCALE=1, HOST_CONCURRENCY=1), Gate()
    provider.answers(Answer(hold=gate))
    first = slow.post(provider.url(), receiver.url())
    provider.holds(1)
    assert expired(slow, slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)) == []
    gate.open()
    slow.wait(first, "delivered")
    slow.wait(slow.post(provider.url(), receiver.url()), "delivered")  # the slot is free again
    assert len(provider.requests) == 2


def test_while_it_is_fetched(slow, provider, receiver):
    """The fetch is cut; that is no attempt."""
    gate = Gate()
    provider.answers(Answer(hold=gate), 200)
    assert expired(slow, slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)) == []
    gate.open()


def test_a_delivery_under_way_is_not_cut(slow, provider, receiver):
    """Whether it arrived can't be known: its verdict counts."""
    gate = Gate()
    receiver.answers(Answer(hold=gate))
    request = slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)
    receiver.holds(1)
    other = slow.post(provider.url(), receiver.url("/other"), expiresAfter=LIFE, delay="1h")
    assert expired(slow, other) == [], "so its time is over too"
    gate.open()
    assert slow.wait(request, "delivered")


def test_a_delivery_that_fails_too_late_is_not_tried_again(slow, provider, receiver):
    gate = Gate()
    receiver.answers(Answer(500, hold=gate))
    request = slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)
    receiver.holds(1)
    expired(slow, slow.post(provider.url(), receiver.url("/other"), expiresAfter=LIFE, delay="1h"))
    gate.open()
    record = slow.wait(request, "failed")
    assert record["error"]["code"] == "expired" and counted(record) == [("fetch", 1), ("deliver", 1)]
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("mode", ["join", "latest"])
def test_while_it_waits_for_another(slow, provider, receiver, mode):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    same = {"dedupeKey": "one", "dedupeMode": mode}
    first = slow.post(provider.url(), receiver.url(), **same)
    provider.holds(1)
    second = slow.post(provider.url(), receiver.url("/second"), expiresAfter=LIFE, **same)
    assert slow.record(second)["waiting"]["reason"] == "joined"
    assert expired(slow, second) == []
    gate.open()
    slow.wait(first, "delivered")
    assert [seen.path for seen in receiver.requests] == ["/"] and len(provider.requests) == 1


def test_a_leader_leaves_its_place_to_the_next(slow, provider, receiver):
    gate = Gate()
    provider.answers(Answer(hold=gate), {"for": "all"})
    leader = slow.post(provider.url(), receiver.url(), dedupeKey="one", dedupeMode="join", expiresAfter=LIFE)
    provider.holds(1)
    follower = slow.post(provider.url(), receiver.url("/follower"), dedupeKey="one", dedupeMode="join")
    assert expired(slow, leader) == []
    gate.open()
    slow.wait(follower, "delivered")


def test_paused_behind_a_full_host_it_fails_once(launch, provider, receiver, peer):
    """Nobody is told twice, and nothing is counted twice, however long its host has no slot."""
    slow, gate, oops = launch(TIME_SCALE=1, HOST_CONCURRENCY=1), Gate(), peer("oops")
    provider.answers(Answer(hold=gate))
    first = slow.post(provider.url(), receiver.url())
    provider.holds(1)
    request = slow.post(provider.url(), receiver.url(), expiresAfter=LIFE, failureCallbackUrl=oops.url())
    assert slow.call("POST", f"/requests/{request}/pause").status == 200
    assert expired(slow, request) == []
    oops.got(1)
    later = slow.post(provider.url(), receiver.url(), expiresAfter="2500ms")
    assert slow.wait(later, "failed")["error"]["code"] == "expired"
    gate.open()
    slow.wait(first, "delivered")
    assert len(oops.requests) == 1 and [e["event"] for e in slow.logs(request)].count("failed") == 1
    told = oops.requests[0].headers["webhook-id"]
    slow.wait(told, "delivered")
    assert slow.redis.call("HGET", "{f0}:c", "live") == b"0" and slow.redis.call("HGET", "{f0}:c", "dead") == b"2"


@pytest.mark.parametrize("call", ["redeliver", "refetch"])
def test_people_begin_it_anew_with_its_whole_time(slow, provider, receiver, call):
    request = slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)
    slow.wait(request, "delivered")
    assert slow.redis.call("ZCARD", "{f0}:f:e") + slow.redis.call("ZCARD", "{f0}:d:e") == 0
    assert slow.call("POST", "/queues/responses/pause").status == 200
    assert slow.call("POST", f"/requests/{request}/{call}").status == 200
    record = slow.wait(request, "failed")
    begun = next(e["time"] for e in slow.logs(request) if e["event"] == call)
    assert record["error"]["code"] == "expired"
    assert LIFE <= slow.seconds(record["finishedAt"]) - slow.seconds(begun) < LIFE + SOON * patience.STRETCH


def test_what_is_deleted_leaves_nothing(slow, provider, receiver):
    request = slow.post(provider.url(), receiver.url(), delay="1h", expiresAfter="2h")
    assert slow.call("DELETE", f"/requests/{request}").status == 204
    assert [key for key in slow.redis.call("KEYS", "*") if key.endswith((b":e", b"lasts"))] == []
