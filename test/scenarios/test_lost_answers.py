"""Redis has done what it was asked, and its answer is lost: asking again changes nothing twice."""
import json

from peers import patience
from peers.web import Answer, Gate

ROUNDS = 3


class Anew(Exception):
    """The worker had no answer for 2 s and has connected anew, before the test was there: that is another scene."""


class Theatre:
    """Between a worker and Redis, for scenes that are played until the worker has not connected anew in them."""

    def __init__(self, pipeline, wire):
        self.pipeline, self.wire = pipeline, wire
        self.lines, self.known = wire.connected, None  # how many the worker keeps; how many there ever were

    def until(self, condition, what):
        def told():
            found = condition()
            if not found and self.wire.accepted > self.known:
                raise Anew
            return found

        return patience.until(told, what)

    def play(self, scene):
        """What the scene returns, which is given its number."""
        for number in range(ROUNDS):
            self.known = self.wire.accepted
            try:
                return scene(number)
            except Anew:
                self.strike()
        raise AssertionError(f"in {ROUNDS} rounds the worker has always connected anew")

    def strike(self):
        """Nothing is held or lost any more, and all have come to an end."""
        before = self.wire.accepted
        self.wire.release()
        self.wire.cut()
        patience.until(lambda: self.wire.accepted >= before + self.lines, "the worker to be connected again")
        patience.until(lambda: self.pipeline.get("/queues").json.get("live") == 0, "all to come to an end")


def holds(redis, request):
    return any(redis.call("HEXISTS", key, request) for key in redis.call("KEYS", "{f0}:held:*"))


def numbers(pipeline, request):
    return [event["n"] for event in pipeline.logs(request)]


def test_a_settle_that_comes_again_does_not_settle_what_came_back(launch, redis, proxy, provider, receiver):
    """Delivered, its answer lost; redelivered and reserved by the same responder, that answer lost too."""
    wire = proxy(redis.path, unix=True)
    pipeline = launch(redis=redis, only={"responder": {"REDIS_URL": wire.redis_url}})
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    theatre = Theatre(pipeline, wire)

    def scene(number):
        gate, path = Gate(), f"/{number}"
        request = pipeline.post(provider.url(), receiver.serves(path, Answer(hold=gate), 200))
        receiver.holds(1)
        wire.mute("EVALSHA")
        gate.open()
        pipeline.wait(request, "delivered")
        assert pipeline.call("POST", f"/requests/{request}/redeliver").status == 200
        theatre.until(lambda: holds(redis, request), "the responder to hold it again")
        wire.cut()
        receiver.got(2, path)
        return request

    request = theatre.play(scene)
    pipeline.wait(request, "delivered")
    assert numbers(pipeline, request) == list(range(1, 6)), pipeline.logs(request)


def is_due(redis, request):
    """In Redis' own time: a script that begins from now on sees it too."""
    due, (seconds, micros) = redis.call("ZSCORE", "{f0}:f:z", request), redis.call("TIME")
    return due is not None and int(due) < int(seconds) * 1000 + int(micros) // 1000


def test_a_retry_is_settled_once(launch, redis, proxy, provider, receiver):
    """Its settle is carried out, and so is, when the retry is due, the reserve behind it: both answers are lost."""
    wire = proxy(redis.path, unix=True)
    pipeline = launch(redis=redis, only={"consumer": {"REDIS_URL": wire.redis_url}})
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    theatre = Theatre(pipeline, wire)

    def scene(number):
        gate = Gate()
        again = provider.serves(f"/{number}", Answer(503, hold=gate), {"second": 1})
        request = pipeline.post(again, receiver.url(), fetch={"schedule": ["0s"], "retries": 3})
        provider.holds(1)
        wire.hold("EVALSHA")
        gate.open()
        settle = theatre.until(lambda: wire.waiting(request), "its settle to be on its way")
        before = wire.commands
        pipeline.post(provider.url(), receiver.url())  # rings the bell
        theatre.until(lambda: wire.commands > before, "a reserve to be on its way")
        wire.mute("EVALSHA")
        wire.release(settle)
        theatre.until(lambda: is_due(redis, request), "its settle to be carried out, and the retry to be due")
        wire.release()
        theatre.until(lambda: holds(redis, request), "the consumer to hold it again")
        wire.cut()
        return request

    request = theatre.play(scene)
    pipeline.wait(request, "delivered")
    assert numbers(pipeline, request) == list(range(1, 5)), pipeline.logs(request)
    assert len(pipeline.attempts(request, "fetch")) == 2


def test_a_lease_is_lost_once(launch, redis, proxy, provider, receiver):
    """A beat and a reserve are on their way when Redis forgets their worker: it takes one new name."""
    wire = proxy(redis.path, unix=True)
    pipeline = launch(redis=redis, only={"consumer": {"REDIS_URL": wire.redis_url}}, LEASE="3s")
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    wire.hold("EVALSHA")
    before = wire.commands
    patience.until(lambda: wire.commands > before, "a beat to be on its way")
    before = wire.commands
    pipeline.post(provider.url(), receiver.url())
    patience.until(lambda: wire.commands > before, "a reserve to be on its way")
    redis.call("FLUSHALL")
    wire.release()
    pipeline.consumer.wait_said("lease_lost")
    pipeline.wait(pipeline.post(provider.url("/later"), receiver.url("/later")), "delivered")
    said = [json.loads(line) for line in pipeline.consumer.story().splitlines() if line.startswith("{")]
    assert len([line for line in said if line["event"] == "lease_lost"]) == 1
    names = [line["reason"].split()[-1] for line in said if line["event"] == "serving"]
    assert [len(name) for name in names] == [32, 32] and len(set(names)) == 2, names
    assert redis.call("ZRANGE", "{f0}:f:workers", 0, -1) == [names[-1].encode()]
