"""What a request may say of itself: each option does what it is for."""
import time

import pytest

from peers import patience
from peers.pipeline import counted
from peers.web import Answer, Gate


def test_the_fetch_is_as_it_was_asked_for(pipeline, provider, receiver):
    fetch = {"method": "PUT", "headers": {"X-Own": "a\u00e9", "Content-Type": "text/csv"}, "body": "a,b\n1,\u00e9"}
    pipeline.wait(pipeline.post(provider.url(), receiver.url(), fetch=fetch), "delivered")
    (asked,) = provider.requests
    assert (asked.method, asked.body) == ("PUT", "a,b\n1,\u00e9".encode())
    assert asked.headers["content-type"] == "text/csv" and asked.headers["x-own"] == "a\u00c3\u00a9"


def test_the_callback_has_the_clients_headers(pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url(), callback={"headers": {"Authorization": "Bearer x"}})
    pipeline.wait(request, "delivered")
    (told,) = receiver.requests
    assert told.headers["authorization"] == "Bearer x" and "authorization" not in provider.requests[0].headers


@pytest.mark.parametrize("retries, attempts", [(0, 1), (1, 2), (4, 5)])
@pytest.mark.parametrize("stage", ["fetch", "callback"])
def test_retries(pipeline, provider, receiver, stage, retries, attempts):
    """Beyond the schedule its last entry repeats."""
    (provider if stage == "fetch" else receiver).answers(500)
    request = pipeline.post(provider.url(), receiver.url(), **{stage: {"retries": retries, "schedule": ["1s", "2s"]}})
    made = counted(pipeline.wait(request, "failed"))
    assert len([one for one in made if one[0] == {"fetch": "fetch", "callback": "deliver"}[stage]]) == attempts


def test_a_schedule_sets_the_number_of_retries(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(500)
    request = pipeline.post(provider.url(), receiver.url(), fetch={"schedule": ["300ms", "0.1s", 0]})
    pipeline.wait(request, "failed")
    gaps = [later.at - earlier.answered for earlier, later in zip(provider.requests, provider.requests[1:])]
    assert len(gaps) == 3 and all(gap >= wanted - 0.002 for gap, wanted in zip(gaps, [0.3, 0.1, 0])), gaps


@pytest.mark.parametrize("stage", ["fetch", "callback"])
def test_a_timeout_of_its_own(pipeline, provider, receiver, stage):
    (provider if stage == "fetch" else receiver).answers(Answer(hold=Gate()))
    options = {stage: {"timeout": "200ms", "retries": 0}}
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url(), **options), "failed")
    assert record["error"]["code"] == "timeout_total"


NAMES = ("low", "default", "high")


def are_drawn(requests):
    """6:3:1, and none starves."""
    drawn = [seen.path[1:] for seen in requests]
    first = drawn[:20]
    assert first.count("high") >= 9 and first.count("default") >= 4 and first.count("low") >= 1, drawn
    assert first.count("high") > first.count("default") > first.count("low"), drawn


def test_priorities_under_a_backlog(launch, provider, receiver):
    pipeline = launch(PREFETCH=1, consumers=0)
    for i in range(20):
        for name in NAMES:
            pipeline.post(provider.url(f"/{name}"), receiver.url(f"/{name}"), priority=name)
    pipeline.hire("consumer").start()
    are_drawn(provider.got(60))
    receiver.got(60)


def test_a_delivery_has_the_priority_of_its_fetch(launch, provider, receiver):
    """The least urgent are fetched first, so that their order alone would put them in front."""
    pipeline = launch(PREFETCH=1, responders=0)
    for name in NAMES:
        pairs = [(provider.url(), receiver.url(f"/{name}"))] * 20
        pipeline.wait_all([pipeline.post(*pair, priority=name) for pair in pairs], "fetched")
    pipeline.hire("responder").start()
    are_drawn(receiver.got(60))


def test_labels_and_meta_come_back(pipeline, provider, receiver):
    meta = {"order": 7, "lines": [1.50, "\u00e9", None]}
    request = pipeline.post(provider.url(), receiver.url(), labels=["nightly", "\u00e9"], meta=meta)
    record = pipeline.wait(request, "delivered")
    assert record["labels"] == ["nightly", "\u00e9"] and record["meta"] == meta
    assert receiver.requests[0].json["meta"] == meta


# -- expiry

LIFE = 2.5  # seconds: enough to come where it is to be when it expires, whoever stands still on the way
LATE = 5 * patience.STRETCH  # what waits for an hour is seen to have expired long before


def test_what_expires_in_backoff(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(500)
    request = pipeline.post(provider.url(), receiver.url(), expiresAfter=LIFE, fetch={"schedule": ["1h"]})
    record = pipeline.wait(request, "failed")
    assert record["error"]["code"] == "expired" and counted(record) == [("fetch", 1)]
    age = pipeline.seconds(record["finishedAt"]) - pipeline.seconds(record["createdAt"])
    assert LIFE <= age < LIFE + LATE


@pytest.mark.parametrize("stage", ["requests", "responses"])
def test_what_expires_in_a_queue(launch, provider, receiver, stage):
    pipeline, life = launch(TIME_SCALE=1), 0.3 if stage == "requests" else LIFE
    pipeline.call("POST", f"/queues/{stage}/pause")
    request = pipeline.post(provider.url(), receiver.url(), expiresAfter=life)
    if stage == "responses":
        pipeline.wait(request, "fetched")
    end = pipeline.seconds(pipeline.record(request)["createdAt"]) + life
    patience.until(lambda: time.time() > end, "its time to pass")
    pipeline.call("POST", f"/queues/{stage}/resume")
    record = pipeline.wait(request, "failed")
    assert record["error"]["code"] == "expired" and not receiver.requests
    assert counted(record) == ([] if stage == "requests" else [("fetch", 1)]), "that is no attempt"


@pytest.mark.parametrize("state", ["queued", "fetched"])
def test_what_is_paused_expires_all_the_same(launch, provider, receiver, state):
    pipeline = launch(TIME_SCALE=1)
    (provider if state == "queued" else receiver).answers(500)
    options = {"fetch": {"schedule": ["1h"]}, "callback": {"schedule": ["1h"]}}
    request = pipeline.post(provider.url(), receiver.url(), expiresAfter=LIFE, **options)
    pipeline.wait_attempts(request, "fetch" if state == "queued" else "deliver", 1)
    assert pipeline.call("POST", f"/requests/{request}/pause").json["state"] == state
    other = pipeline.post(provider.url(), receiver.url(), expiresAfter=LIFE, delay="1h")
    for call in ("pause", "resume"):
        assert pipeline.call("POST", f"/requests/{other}/{call}").status == 200
    record = pipeline.wait(request, "failed")
    assert record["error"]["code"] == "expired" and not record["paused"]
    age = pipeline.seconds(record["finishedAt"]) - pipeline.seconds(record["createdAt"])
    assert LIFE <= age < LIFE + LATE
    assert pipeline.wait(other, "failed")["error"]["code"] == "expired", "wherever it waits"


def test_a_delay_longer_than_its_life(pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url(), delay="200s", expiresAfter="100s")
    assert pipeline.wait(request, "failed")["error"]["code"] == "expired" and not provider.requests


# -- failure callbacks


def told(pipeline, seen, request, attempts):
    """A failure callback as it came; the record of the request that carried it."""
    assert seen.json["requestId"] == request and set(seen.json) == {"requestId", "error", "attempts"}
    assert seen.json["attempts"] == attempts
    record = pipeline.wait(seen.headers["webhook-id"], "delivered")
    assert record["parent"] == request and seen.headers["webhook-attempt"] == "1"
    assert record["requestId"] != request
    return record


def test_a_failed_fetch_is_told(pipeline, provider, receiver, peer):
    oops = peer("oops")
    provider.answers(500, 404)
    request = pipeline.post(provider.url(), receiver.url(), failureCallbackUrl=oops.url("/?a=b"))
    (seen,) = oops.got(1)
    told(pipeline, seen, request, {"fetch": 2, "deliver": 0})
    assert seen.method == "POST" and seen.query == "a=b" and seen.headers["content-type"] == "application/json"
    assert seen.json["error"] == pipeline.wait(request, "failed")["error"]
    assert seen.json["error"]["code"] == "http_status" and not receiver.requests


def test_what_tells_of_a_failure_has_nothing_of_the_request(pipeline, provider, receiver, peer):
    oops = peer("oops")
    provider.answers(404)
    oops.answers(503, 200)
    callback = {"headers": {"Authorization": "Bearer x"}, "retries": 0}
    request = pipeline.post(
        provider.url(), receiver.url(), failureCallbackUrl=oops.url(), callback=callback, labels=["a"], meta={"b": 1}
    )
    first, again = oops.got(2)
    record = told(pipeline, first, request, {"fetch": 1, "deliver": 0})
    assert "authorization" not in first.headers and again.headers["webhook-attempt"] == "2"
    assert "labels" not in record and "meta" not in record


def test_a_failed_delivery_is_told_and_the_telling_is_retried(pipeline, provider, receiver, peer):
    oops = peer("oops")
    receiver.answers(410)
    oops.answers(500, 503, 200)
    request = pipeline.post(provider.url(), receiver.url(), failureCallbackUrl=oops.url())
    first, second, third = oops.got(3)
    assert first.body == second.body == third.body
    assert [seen.headers["webhook-attempt"] for seen in oops.requests] == ["1", "2", "3"]
    assert len({seen.headers["webhook-id"] for seen in oops.requests}) == 1
    assert first.json["attempts"] == {"fetch": 1, "deliver": 1} and first.json["requestId"] == request
    pipeline.wait(first.headers["webhook-id"], "delivered")


def test_an_expired_request_is_told(pipeline, provider, receiver, peer):
    oops = peer("oops")
    request = pipeline.post(
        provider.url(), receiver.url(), delay="200s", expiresAfter="100s", failureCallbackUrl=oops.url()
    )
    (seen,) = oops.got(1)
    assert seen.json["error"]["code"] == "expired"
    told(pipeline, seen, request, {"fetch": 0, "deliver": 0})


def test_a_failure_callback_that_fails_tells_nobody(pipeline, provider, receiver, peer):
    oops = peer("oops", said=410)
    provider.answers(404)
    pipeline.post(provider.url(), receiver.url(), failureCallbackUrl=oops.url())
    (seen,) = oops.got(1)
    record = pipeline.wait(seen.headers["webhook-id"], "failed")
    assert len(oops.requests) == 1 and record["parent"]


def test_a_cancelled_request_is_never_told(pipeline, provider, receiver, peer):
    oops, gate = peer("oops"), Gate()
    provider.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url(), failureCallbackUrl=oops.url())
    provider.holds(1)
    pipeline.call("POST", f"/requests/{request}/cancel")
    gate.open()
    pipeline.wait(pipeline.post(oops.url("/after"), receiver.url()), "delivered")
    assert [seen.path for seen in oops.requests] == ["/after"]


def test_every_callback_url_is_judged(pipeline, provider, receiver):
    reply = pipeline.ask(provider.url(), receiver.url(), failureCallbackUrl="http://10.0.0.1/")
    assert reply.status == 422 and reply.faults["/failureCallbackUrl"].startswith("address_blocked")
