"""Pause, resume, deliver again, fetch again: what each does to attempts, to time and to what runs."""
import time

from peers import patience, rounds
from peers.pipeline import counted
from peers.web import Answer, Gate


def change(pipeline, request, call, status=200):
    reply = pipeline.call("POST", f"/requests/{request}/{call}")
    assert reply.status == status, reply
    return reply.json


def test_a_paused_fetch_is_cut_and_is_no_attempt(pipeline, provider, receiver):
    """A worker that listens lets go within the second for which the api waits: 200 at the first call."""
    gate = Gate()

    def pause():
        provider.answers(Answer(hold=gate), {"second": 2})
        request = pipeline.post(provider.url(), receiver.url())
        provider.holds(1)
        reply = pipeline.call("POST", f"/requests/{request}/pause")
        if reply.status == 202:
            pipeline.alter(request, "cancel")
            patience.until(lambda: provider.busy == 0, "the fetch to be cut")
            raise rounds.Late(reply)
        assert reply.status == 200, reply
        return request, reply.json

    request, record = rounds.best_of_three(pause)
    assert record["paused"] and record["state"] == "queued" and record["waiting"] == {"reason": "paused"}
    patience.until(lambda: provider.busy == 0, "the fetch to be cut")
    gate.open()
    assert not change(pipeline, request, "resume")["paused"]
    record = pipeline.wait(request, "delivered")
    assert counted(record) == [("fetch", 1), ("deliver", 1)]
    assert [event["event"] for event in pipeline.logs(request)] == [
        "accepted", "paused", "resumed", "fetched", "delivered",
    ]
    assert "from the beginning" in pipeline.logs(request)[3]["reason"]


def test_a_post_under_way_is_not_cut_and_its_verdict_counts(pipeline, provider, receiver):
    gate = Gate()
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    record = change(pipeline, request, "pause")
    assert record["paused"] and record["state"] == "delivering"
    gate.open()
    record = pipeline.wait(request, "delivered")
    assert not record["paused"] and counted(record) == [("fetch", 1), ("deliver", 1)]
    assert len(receiver.requests) == 1


def test_a_post_that_fails_while_paused_waits_for_the_resume(pipeline, provider, receiver):
    gate = Gate()
    receiver.answers(Answer(500, hold=gate), 200)
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    change(pipeline, request, "pause")
    gate.open()
    pipeline.wait_attempts(request, "deliver", 1)
    record = pipeline.wait(request, "fetched")
    assert record["paused"] and record["waiting"]["reason"] == "paused"
    change(pipeline, request, "resume")
    assert counted(pipeline.wait(request, "delivered"))[1:] == [("deliver", 1), ("deliver", 2)]


def test_what_is_paused_stays_over_restarts(launch, provider, receiver):
    pipeline = launch(consumers=0)
    request = pipeline.post(provider.url(), receiver.url())
    change(pipeline, request, "pause")
    other = pipeline.post(provider.url(), receiver.url())
    pipeline.hire("consumer").start()
    pipeline.redis.restart()
    pipeline.api.restart()
    pipeline.wait(other, "delivered")
    assert pipeline.record(request)["paused"] and len(provider.requests) == 1
    change(pipeline, request, "resume")
    pipeline.wait(request, "delivered")


def test_a_due_time_stands(launch, provider, receiver):
    """Resumed before it, it is kept; after it, the request is due at once."""
    pipeline = launch(consumers=0, TIME_SCALE=1)  # nobody fetches before all stand as they shall
    far = pipeline.post(provider.url("/far"), receiver.url(), delay="1h")
    before = pipeline.post(provider.url("/before"), receiver.url(), delay="2s")
    after = pipeline.post(provider.url("/after"), receiver.url(), delay="500ms")
    due = pipeline.seconds(pipeline.record(before)["createdAt"]) + 2
    until = pipeline.record(far)["waiting"]["until"]
    for request in (far, before, after):
        change(pipeline, request, "pause")
    record = change(pipeline, far, "resume")
    assert record["state"] == "scheduled" and record["waiting"] == {"reason": "scheduled", "until": until}
    change(pipeline, before, "resume")
    pipeline.hire("consumer").start()
    pipeline.wait(before, "delivered")
    apart = time.monotonic() - time.time()  # in this order: a pause between the two makes no fetch too early
    assert provider.requests[0].at >= due + apart - 0.002
    assert [seen.path for seen in provider.requests] == ["/before"]
    change(pipeline, after, "resume")
    pipeline.wait(after, "delivered")


def test_redeliver_fetches_nothing_and_counts_anew(pipeline, provider, receiver):
    provider.answers({"first": 1}, {"second": 2})
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    change(pipeline, request, "redeliver")
    first, second = receiver.got(2)
    assert second.body == first.body and second.headers["webhook-id"] == first.headers["webhook-id"] == request
    assert second.headers["webhook-attempt"] == "1" and len(provider.requests) == 1
    record = pipeline.wait(request, "delivered")
    assert counted(record) == [("fetch", 1), ("deliver", 1), ("deliver", 1)]


def test_redeliver_of_a_dead_letter(pipeline, provider, receiver):
    receiver.answers(410, 500, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "failed")
    assert pipeline.get("/queues").json["dead"] >= 1
    change(pipeline, request, "redeliver")
    record = pipeline.wait(request, "delivered")
    assert counted(record)[1:] == [("deliver", 1), ("deliver", 1), ("deliver", 2)] and "error" not in record
    assert not [one for one in pipeline.get("/requests?state=failed").json["requests"] if one["requestId"] == request]


def test_redeliver_hastens_what_waits_for_its_next_attempt(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, CALLBACK_SCHEDULE="1h")
    receiver.answers(500, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait_attempts(request, "deliver", 1)
    change(pipeline, request, "redeliver")
    assert counted(pipeline.wait(request, "delivered"))[1:] == [("deliver", 1), ("deliver", 2)]


def test_refetch_gets_new_data_under_a_new_webhook_id(pipeline, provider, receiver):
    provider.answers({"first": 1}, 404, {"third": 3})
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    change(pipeline, request, "refetch")
    pipeline.wait(request, "failed")
    change(pipeline, request, "refetch")
    first, second = receiver.got(2)
    assert first.json["data"] == {"first": 1} and second.json["data"] == {"third": 3}
    assert (first.headers["webhook-id"], second.headers["webhook-id"]) == (request, f"{request}-2")
    assert pipeline.data(request) == b'{"third": 3}'
    pipeline.wait(request, "delivered")


def test_what_was_begun_anew_has_its_whole_time_again(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    request = pipeline.post(provider.url(), receiver.url(), expiresAfter="3s")
    record = pipeline.wait(request, "delivered")
    end = pipeline.seconds(record["createdAt"]) + 3
    patience.until(lambda: time.time() > end, "its time to pass")
    change(pipeline, request, "redeliver")
    receiver.got(2)
    pipeline.wait(request, "delivered")
    change(pipeline, request, "refetch")
    receiver.got(3)
    pipeline.wait(request, "delivered")


def test_data_that_retention_took_can_not_be_delivered_again(launch, provider, receiver):
    pipeline = launch(RETENTION_DATA="1s", LEASE="3s", TIME_SCALE=1)  # a worker looks a few times in a lease
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    patience.until(lambda: "data" not in pipeline.record(request), "its data to go", 60)
    problem = change(pipeline, request, "redeliver", 409)
    assert "data_expired" in problem["detail"]
    change(pipeline, request, "refetch")
    pipeline.wait(request, "delivered")
