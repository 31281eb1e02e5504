"""What has not been delivered by its time fails as expired, wherever it waits, and soon after."""
import itertools

import pytest

from peers import patience
from peers.pipeline import counted
from peers.web import Answer, Gate

LIFE = 0.6  # seconds
LONG = 2.5  # where it has to come somewhere before its time is over, whoever stands still on the way
SOON = 1.5  # after that: reserve looks once a second at what a worker found too young


def expired(pipeline, post, life=LIFE):
    """
    The attempts of a request that was posted to expire: never early, and soon at its best of three, for anybody
    may stand still once.
    """
    def ended():
        record = pipeline.wait(post(), "failed")
        assert record["error"]["code"] == "expired", record
        return record, pipeline.seconds(record["createdAt"])

    return counted(soon(pipeline, ended, life))


def soon(pipeline, ended, life):
    """ended(): one that has expired, and when its time began."""
    for _ in range(3):
        record, begun = ended()
        age = pipeline.seconds(record["finishedAt"]) - begun
        assert life <= age, record
        if age < life + SOON * patience.STRETCH:
            return record
    raise AssertionError(f"late three times: {record}")


@pytest.fixture
def slow(launch):
    """Real time, so that nothing but its expiry ends a wait."""
    return launch(TIME_SCALE=1)


def test_before_its_delay_is_over(slow, provider, receiver):
    assert expired(slow, lambda: slow.post(provider.url(), receiver.url(), delay="1h", expiresAfter=LIFE)) == []
    assert not provider.requests


@pytest.mark.parametrize("stage, life, done", [("requests", LIFE, []), ("responses", LONG, [("fetch", 1)])])
def test_in_a_queue_that_is_held(slow, provider, receiver, stage, life, done):
    assert slow.call("POST", f"/queues/{stage}/pause").status == 200
    assert expired(slow, lambda: slow.post(provider.url(), receiver.url(), expiresAfter=life), life) == done
    assert not receiver.requests


def test_while_its_host_asks_for_time(slow, provider, receiver):
    provider.answers(Answer(503, headers={"Retry-After": "3600"}))
    first = slow.post(provider.url(), receiver.url(), expiresAfter="1h")
    slow.wait_attempts(first, "fetch", 1)

    def post():
        second = slow.post(provider.url(), receiver.url(), expiresAfter=LONG)
        assert slow.record(second)["waiting"]["reason"] == "held"
        return second

    assert expired(slow, post, LONG) == []


def test_while_it_waits_for_its_next_attempt(slow, provider, receiver):
    provider.answers(500)

    def post():
        request = slow.post(provider.url(), receiver.url(), expiresAfter=LONG)
        slow.wait_attempts(request, "fetch", 1)
        return request

    assert expired(slow, post, LONG) == [("fetch", 1)]


def test_while_its_host_has_no_slot(launch, provider, receiver):
    slow, gate = launch(TIME_SCALE=1, HOST_CONCURRENCY=1), Gate()
    provider.answers(Answer(hold=gate))
    first = slow.post(provider.url(), receiver.url())
    provider.holds(1)
    assert expired(slow, lambda: slow.post(provider.url(), receiver.url(), expiresAfter=LIFE)) == []
    gate.open()
    slow.wait(first, "delivered")
    slow.wait(slow.post(provider.url(), receiver.url()), "delivered")  # the slot is free again
    assert len(provider.requests) == 2


def test_while_it_is_fetched(slow, provider, receiver):
    """The fetch is cut; that is no attempt."""
    gate, rounds = Gate(), itertools.count()

    def post():
        url = provider.serves(f"/{next(rounds)}", Answer(hold=gate), 200)
        return slow.post(url, receiver.url(), expiresAfter=LIFE)

    assert expired(slow, post) == []
    gate.open()


def test_a_delivery_under_way_is_not_cut(slow, provider, receiver):
    """Whether it arrived can't be known: its verdict counts."""
    gate = Gate()
    receiver.answers(Answer(hold=gate))
    request = slow.post(provider.url(), receiver.url(), expiresAfter=LONG)
    receiver.holds(1)
    other = lambda: slow.post(provider.url(), receiver.url("/other"), expiresAfter=LONG, delay="1h")
    assert expired(slow, other, LONG) == [], "so its time is over too"
    gate.open()
    assert slow.wait(request, "delivered")


def test_a_delivery_that_fails_too_late_is_not_tried_again(slow, provider, receiver):
    gate = Gate()
    receiver.answers(Answer(500, hold=gate))
    request = slow.post(provider.url(), receiver.url(), expiresAfter=LONG)
    receiver.holds(1)
    other = lambda: slow.post(provider.url(), receiver.url("/other"), expiresAfter=LONG, delay="1h")
    expired(slow, other, LONG)
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

    def post():
        second = slow.post(provider.url(), receiver.url("/second"), expiresAfter=LONG, **same)
        assert slow.record(second)["waiting"]["reason"] == "joined"
        return second

    assert expired(slow, post, LONG) == []
    gate.open()
    slow.wait(first, "delivered")
    assert [seen.path for seen in receiver.requests] == ["/"] and len(provider.requests) == 1


def test_a_leader_leaves_its_place_to_the_next(slow, provider, receiver):
    gate, followers = Gate(), []

    def post():
        path = f"/{len(followers)}"
        url, same = provider.serves(path, Answer(hold=gate), {"for": "all"}), {"dedupeKey": path, "dedupeMode": "join"}
        leader = slow.post(url, receiver.url(), expiresAfter=LONG, **same)
        provider.got(1, path)
        followers.append(slow.post(url, receiver.url("/follower"), **same))
        return leader

    assert expired(slow, post, LONG) == []
    gate.open()
    slow.wait_all(followers)


def test_paused_behind_a_full_host_it_fails_once(launch, provider, receiver, peer):
    """Nobody is told twice, and nothing is counted twice, however long its host has no slot."""
    slow, gate, oops = launch(TIME_SCALE=1, HOST_CONCURRENCY=1), Gate(), peer("oops")
    provider.answers(Answer(hold=gate))
    first = slow.post(provider.url(), receiver.url())
    provider.holds(1)
    posted = []

    def post():
        posted.append(slow.post(provider.url(), receiver.url(), expiresAfter=LONG, failureCallbackUrl=oops.url()))
        assert slow.call("POST", f"/requests/{posted[-1]}/pause").status == 200
        return posted[-1]

    assert expired(slow, post, LONG) == []
    oops.got(len(posted))
    later = slow.post(provider.url(), receiver.url(), expiresAfter="2500ms")
    assert slow.wait(later, "failed")["error"]["code"] == "expired"
    gate.open()
    slow.wait(first, "delivered")
    assert sorted(seen.id for seen in oops.requests) == sorted(posted)
    for request in posted:
        assert [e["event"] for e in slow.logs(request)].count("failed") == 1
    slow.wait_all([seen.headers["webhook-id"] for seen in oops.requests])
    live, dead = (int(slow.redis.call("HGET", "{f0}:c", name)) for name in ("live", "dead"))
    assert live == 0 and dead == len(posted) + 1


@pytest.mark.parametrize("call", ["redeliver", "refetch"])
def test_people_begin_it_anew_with_its_whole_time(slow, provider, receiver, call):
    def ended():
        request = slow.post(provider.url(), receiver.url(), expiresAfter=LONG)
        slow.wait(request, "delivered")
        assert slow.redis.call("ZCARD", "{f0}:f:e") + slow.redis.call("ZCARD", "{f0}:d:e") == 0
        assert slow.call("POST", "/queues/responses/pause").status == 200
        assert slow.call("POST", f"/requests/{request}/{call}").status == 200
        record = slow.wait(request, "failed")
        assert record["error"]["code"] == "expired"
        assert slow.call("POST", "/queues/responses/resume").status == 200
        return record, next(slow.seconds(e["time"]) for e in slow.logs(request) if e["event"] == call)

    soon(slow, ended, LONG)


def test_what_is_deleted_leaves_nothing(slow, provider, receiver):
    request = slow.post(provider.url(), receiver.url(), delay="1h", expiresAfter="2h")
    assert slow.call("DELETE", f"/requests/{request}").status == 204
    assert [key for key in slow.redis.call("KEYS", "*") if key.endswith((b":e", b"lasts"))] == []
