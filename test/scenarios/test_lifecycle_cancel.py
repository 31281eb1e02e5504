"""After a cancel was answered 200, no callback of that request begins: at any moment, under load."""
import collections
import http.client
import json
import random
import threading
import time

import pytest

from peers import patience
from peers.pipeline import sanitized
from peers.redis import Redis
from peers.stamps import Stamps
from peers.web import Answer, Gate

CANCELS = 1000 if sanitized() else 10000
CLIENTS = 8
BURST = 5  # requests a client posts before it cancels them, in any order


class Canceller(threading.Thread):
    """Posts bursts of requests and cancels them at once, in any order, until enough are cancelled."""

    def __init__(self, pipeline, provider, callback, enough):
        super().__init__()
        self.wire = http.client.HTTPConnection("127.0.0.1", pipeline.port, timeout=patience.bound(30))
        self.body = json.dumps({"provider": provider, "callbackUrl": callback})
        self.enough = enough
        self.answers = {}  # requestId: (status, when the answer had come, the record or problem)
        self.trouble = None

    def call(self, path, body=None):
        given = {"Content-Type": "application/json"} if body else {}
        self.wire.request("POST", path, body, given)
        answer = self.wire.getresponse()
        said = answer.read()
        return answer.status, time.time(), json.loads(said)

    def run(self):
        try:
            cancelled = 0
            while cancelled < self.enough:
                ids = [self.call("/", self.body)[2]["requestId"] for _ in range(random.randint(1, BURST))]
                random.shuffle(ids)
                for request in ids:
                    self.answers[request] = self.call(f"/requests/{request}/cancel")
                    cancelled += self.answers[request][0] == 200
        except Exception as trouble:  # told by the test's own thread
            self.trouble = repr(trouble)


def cancel_many(pipeline, provider, callback, count, clients=CLIENTS):
    runners = [Canceller(pipeline, provider, callback, count // clients) for _ in range(clients)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert not [runner.trouble for runner in runners if runner.trouble]
    return {request: answer for runner in runners for request, answer in runner.answers.items()}


@pytest.mark.long
def test_no_callback_begins_after_a_cancel_was_answered(launch, provider, cast):
    pipeline, stamps = launch(consumers=2, responders=2, PREFETCH=16, HOST_CONCURRENCY=4), cast(Stamps())
    answers = cancel_many(pipeline, provider.url(), stamps.url(), CANCELS)
    statuses = collections.Counter(status for status, _, _ in answers.values())
    assert statuses[200] >= CANCELS and set(statuses) <= {200, 202, 409}, statuses
    for request, (status, _, said) in answers.items():
        if status == 409:
            assert "delivered" in said["detail"], said
    patience.until(lambda: pipeline.get("/queues").json["live"] == 0, "all to come to an end", 60)
    arrivals = stamps.arrivals()
    late = {
        request: (arrivals[request], at)
        for request, (status, at, _) in answers.items()
        if status == 200 and request in arrivals and max(arrivals[request]) > at
    }
    assert not late, f"{len(late)} callbacks began after the 200: {list(late.items())[:3]}"
    missing = [request for request, answer in answers.items() if answer[0] == 409 and request not in arrivals]
    assert not missing, f"{len(missing)} were delivered and did not arrive"
    # Random moments: some were caught on each leg of their way.
    caught = collections.Counter()
    for status, _, said in answers.values():
        if status == 200:
            caught["mayHaveArrived" if said.get("mayHaveArrived") else "data" if "data" in said else "none"] += 1
    assert caught["none"] and caught["data"] + caught["mayHaveArrived"], caught


@pytest.mark.parametrize("method, path, status", [("POST", "/cancel", 200), ("DELETE", "", 204)])
@pytest.mark.parametrize("stage", ["fetch", "deliver"])
def test_a_worker_that_listens_lets_go_at_once(pipeline, provider, receiver, stage, method, path, status):
    """At its best of three: whoever stands still for a second makes it a 202."""
    held = provider if stage == "fetch" else receiver
    held.answers(Answer(hold=Gate()))

    def is_let_go():
        request = pipeline.post(provider.url(), receiver.url())
        held.holds(1)
        reply = pipeline.call(method, f"/requests/{request}{path}")
        assert reply.status in (status, 202)
        patience.until(lambda: held.busy == 0, "the exchange to be cut")
        return reply.status == status

    assert sum(is_let_go() for _ in range(5)) >= 4, "one may have met a machine that stood still"


def test_a_fetch_is_cut(pipeline, provider, receiver):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    reply = pipeline.alter(request, "cancel")
    assert reply.status == 200 and reply.json["state"] == "cancelled"
    assert reply.json["error"] == {"code": "cancelled", "message": "cancelled on request"}
    assert "mayHaveArrived" not in reply.json and reply.json["attempts"] == []
    patience.until(lambda: provider.busy == 0, "the fetch to be cut")
    gate.open()
    assert not receiver.requests


def test_a_callback_that_was_cut_may_have_arrived(pipeline, provider, receiver):
    gate = Gate()
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    reply = pipeline.alter(request, "cancel")
    assert reply.status == 200 and reply.json["mayHaveArrived"] is True
    assert reply.json["error"]["message"].startswith("mayHaveArrived")
    patience.until(lambda: receiver.busy == 0, "the callback to be cut")
    gate.open()
    assert len(receiver.requests) == 1
    assert "mayHaveArrived" in pipeline.logs(request)[-1]["reason"]


@pytest.mark.parametrize("stage", ["fetch", "deliver"])
def test_a_worker_that_does_not_listen_makes_it_202(launch, provider, receiver, stage):
    """The promise holds from the end of its lease."""
    pipeline, gate = launch(LEASE="2s"), Gate()
    (provider if stage == "fetch" else receiver).answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    (provider if stage == "fetch" else receiver).holds(1)
    worker = pipeline.consumer if stage == "fetch" else pipeline.responder
    worker.stop()
    took = []
    for _ in range(2):  # asking again changes nothing
        begun = time.monotonic()
        reply = pipeline.call("POST", f"/requests/{request}/cancel")
        took.append(time.monotonic() - begun)
        assert reply.status == 202 and reply.json["cancelling"] is True and reply.json["state"] == "cancelled"
    assert 0.95 < min(took) < 2 * patience.STRETCH and max(took) < 4 * patience.STRETCH, took
    assert pipeline.call("POST", f"/requests/{request}/refetch").status == 409
    worker.cont()
    patience.until(
        lambda: pipeline.call("POST", f"/requests/{request}/cancel").status == 200, "the worker to let go"
    )
    assert "cancelling" not in pipeline.record(request)
    gate.open()
    assert pipeline.call("POST", f"/requests/{request}/refetch").status == 200
    pipeline.wait(request, "delivered")


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
def test_a_callback_that_was_still_connecting_does_not_begin_after_the_200(
    launch, cast, proxy, peer, provider, tls, tmp_path, asleep
):
    """
    Its worker, cut off from Redis, loses its lease meanwhile, and another one lets the cancel go through.
    All that while it connects, which has 5 s: played anew where somebody stands still for longer.
    """
    def is_played(folder):
        folder.mkdir()
        redis, receiver = cast(Redis(str(folder))).start(), peer("receiver", tls=tls.context("127.0.0.1"))
        to_redis, to_receiver = proxy(redis.path, unix=True), proxy(("127.0.0.1", receiver.port))
        to_receiver.freeze()  # takes the connection and keeps the first words of TLS
        cut_off = {"responder-0": {"REDIS_URL": to_redis.redis_url}}
        pipeline = launch(redis=redis, LEASE="1s", CA_FILE=tls.ca_file, only=cut_off)
        callback = receiver.url().replace(f":{receiver.port}/", f":{to_receiver.port}/")
        request = pipeline.post(provider.url(), callback)
        patience.until(lambda: to_receiver.accepted == 1, "the responder to connect")
        given_up = time.monotonic() + 6
        to_redis.freeze()
        holder = pipeline.responder
        if asleep:
            holder.stop()
        pipeline.hire("responder").start()
        patience.until(
            lambda: pipeline.call("POST", f"/requests/{request}/cancel").status == 200, "the lease to run out"
        )
        to_receiver.thaw()
        if asleep:
            holder.cont()
        patience.until(lambda: receiver.opened or time.monotonic() > given_up, "the connection to be there")
        if played := receiver.opened == 1:
            patience.until(lambda: receiver.requests or not receiver.connections, "what it does then")
            assert receiver.opened == 1
        assert not receiver.requests
        to_redis.thaw()
        holder.wait_said("lease_lost")
        assert pipeline.state(request) == "cancelled"
        pipeline.wait(pipeline.post(provider.url(), callback), "delivered")
        return played

    assert any(is_played(tmp_path / f"round-{n}") for n in range(3))


def test_delete_cancels_and_leaves_nothing(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url(), dedupeKey="k", labels=["a"])
    provider.holds(1)
    reply = pipeline.call("DELETE", f"/requests/{request}")
    if reply.status == 202:  # somebody stands still: it goes all the same
        assert reply.json == {"requestId": request, "cancelling": True}
    else:
        assert (reply.status, reply.body) == (204, b"")
    assert pipeline.call("DELETE", f"/requests/{request}").status == 404
    for path in ("", "/logs", "/data"):
        assert pipeline.get(f"/requests/{request}{path}").status == 404
    patience.until(lambda: provider.busy == 0, "the fetch to be cut")
    gate.open()
    left = [key for key in pipeline.redis.call("KEYS", "*") if request.encode() in key or b":k:" in key]
    assert not left
    assert not pipeline.get("/requests").json["requests"] and not pipeline.get("/requests?label=a").json["requests"]
    again = pipeline.post(provider.url(), receiver.url(), dedupeKey="k")
    assert again != request, "the key went with it"
    pipeline.wait(again, "delivered")
    assert request not in [seen.id for seen in receiver.requests]


def test_delete_of_what_a_silent_worker_holds(launch, provider, receiver):
    pipeline, gate = launch(LEASE="2s"), Gate()
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    pipeline.responder.stop()
    reply = pipeline.call("DELETE", f"/requests/{request}")
    assert reply.status == 202 and reply.json == {"requestId": request, "cancelling": True}
    assert pipeline.call("DELETE", f"/requests/{request}").status == 404
    pipeline.responder.cont()
    patience.until(lambda: receiver.busy == 0, "the callback to be cut")
    gate.open()
    assert len(receiver.requests) == 1
