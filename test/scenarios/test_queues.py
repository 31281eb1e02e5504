"""How the queues stand, and holding a whole one."""
import time

import pytest

from peers import patience
from peers.web import Answer, Gate


def queues(pipeline):
    def told():
        reply = pipeline.get("/queues")
        assert reply.status in (200, 503), reply
        return reply.status == 200 and reply  # 503: Redis did not answer the api in time

    reply = patience.until(told, "the queues to be told")
    assert reply.headers["Content-Type"] == "application/json"
    return reply.json


def test_figures(launch, provider, receiver):
    pipeline, gate = launch(TIME_SCALE=1), Gate()
    idle = {"paused": False, "depth": 0, "delayed": 0, "leased": 0, "workers": 1}
    assert queues(pipeline) == {
        "requests": idle, "responses": idle, "live": 0, "dead": 0, "undeliveredBytes": 0,
    }
    receiver.answers(Answer(hold=gate))
    provider.answers(404, path="/gone")
    pipeline.wait(pipeline.post(provider.url("/gone"), receiver.url()), "failed")
    ids = [pipeline.post(provider.url(), receiver.url()) for _ in range(3)]
    receiver.holds(2)
    states = lambda: sorted(map(pipeline.state, ids))  # whichever came third
    patience.until(lambda: states() == ["delivering", "delivering", "fetched"], lambda: f"one to wait: {states()}")
    pipeline.post(provider.url(), receiver.url(), delay="1h")
    now = queues(pipeline)
    assert (now["requests"]["delayed"], now["responses"]["leased"], now["responses"]["depth"]) == (1, 2, 1)
    assert (now["live"], now["dead"], now["undeliveredBytes"]) == (4, 1, 3 * 11)
    gate.open()
    pipeline.wait_all(ids)


def until_oldest(pipeline, queue, request):
    """
    Redis tells its age, the api by its own clock when that was: an api that stood still between the two tells too
    late a time, never too early a one. Another request is told at every look.
    """
    created = pipeline.seconds(pipeline.record(request)["createdAt"])
    told = lambda: pipeline.seconds(queues(pipeline)[queue]["oldest"]) - created
    patience.until(lambda: abs(told()) < 0.1 * patience.STRETCH,
                   lambda: f"{request} to be the oldest: another is, by {told()} s")


def later(pipeline, request):
    """Waits until whoever comes now is told apart from this one."""
    made = pipeline.seconds(pipeline.record(request)["createdAt"])
    patience.until(lambda: time.time() > made + 0.4 * patience.STRETCH, "time to pass")


def waits(pipeline, request, reason):
    told = lambda: pipeline.record(request).get("waiting", {}).get("reason") == reason
    patience.until(told, lambda: f"{request} to wait for {reason}: {pipeline.record(request)}")


def test_the_oldest_that_a_worker_could_take(launch, provider, receiver):
    pipeline = launch()
    pipeline.call("POST", "/queues/requests/pause")
    first = pipeline.post(provider.url(), receiver.url())
    later(pipeline, first)
    second = pipeline.post(provider.url(), receiver.url())
    until_oldest(pipeline, "requests", first)
    pipeline.call("POST", "/queues/requests/resume")
    pipeline.wait_all([first, second])
    assert "oldest" not in queues(pipeline)["requests"]


@pytest.mark.parametrize("queue", ["requests", "responses"])
def test_the_oldest_whose_host_is_busy(launch, provider, receiver, queue):
    pipeline, gate = launch(TIME_SCALE=1), Gate()
    side = provider if queue == "requests" else receiver
    side.answers(Answer(hold=gate))
    running = [pipeline.post(provider.url(), receiver.url()) for _ in range(2)]
    side.holds(2)
    assert "oldest" not in queues(pipeline)[queue], "what is held does not wait"
    waiting = [pipeline.post(provider.url(), receiver.url(), priority="low")]
    waits(pipeline, waiting[0], "host_concurrency")
    later(pipeline, waiting[0])
    waiting += [pipeline.post(provider.url(), receiver.url(), priority=one) for one in ("low", "high")]
    waits(pipeline, waiting[2], "host_concurrency")
    until_oldest(pipeline, queue, waiting[0])
    pipeline.call("POST", f"/requests/{waiting[0]}/cancel")
    until_oldest(pipeline, queue, waiting[1])  # what is cancelled waits no more
    gate.open()
    pipeline.wait_all(running + waiting[1:])
    assert "oldest" not in queues(pipeline)[queue] and not pipeline.redis.call("KEYS", "{f0}:?:a")


def test_the_oldest_whose_host_is_held(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(Answer(429, headers={"Retry-After": "60"}))
    pipeline.wait_attempts(pipeline.post(provider.url(), receiver.url()), "fetch", 1)
    first = pipeline.post(provider.url(), receiver.url())
    waits(pipeline, first, "held")
    later(pipeline, first)
    waits(pipeline, pipeline.post(provider.url(), receiver.url()), "held")
    patience.until(lambda: "oldest" in queues(pipeline)["requests"], "it to be told")
    patience.until(lambda: pipeline.redis.call("EXISTS", "{f0}:f:t:d") == 0, "its lane to have left its turn")
    until_oldest(pipeline, "requests", first)


def test_the_oldest_whose_host_is_broken(launch, provider, receiver):
    """One at a time, so that ten fail and all others are left."""
    pipeline = launch(TIME_SCALE=1, HOST_CONCURRENCY=1)
    provider.answers(503)
    pipeline.call("POST", "/queues/requests/pause")
    ids = []
    for count in (10, 1, 9):
        ids and later(pipeline, ids[-1])
        ids += [pipeline.post(provider.url(), receiver.url()) for _ in range(count)]
    pipeline.call("POST", "/queues/requests/resume")
    open_till = lambda: pipeline.redis.call("HGET", f"{{f0}}:f:h:{provider.url().split('/')[2]}", "o")
    patience.until(open_till, "the breaker to open")
    patience.until(lambda: pipeline.redis.call("EXISTS", "{f0}:f:t:d") == 0, "its lane to have left its turn")
    assert [one for one in ids if not pipeline.record(one)["attempts"]] == ids[10:]
    until_oldest(pipeline, "requests", ids[10])


def test_the_oldest_is_behind_what_was_cancelled(launch, provider, receiver):
    """Those stay in their lane until somebody meets them; behind 64 of them nobody is looked for."""
    pipeline = launch(TIME_SCALE=1)
    pipeline.call("POST", "/queues/requests/pause")
    cancelled = pipeline.post_many([(provider.url(), receiver.url())] * 65)
    later(pipeline, cancelled[-1])
    kept = pipeline.post(provider.url(), receiver.url())
    for request in cancelled[:64]:
        pipeline.call("POST", f"/requests/{request}/cancel")
    until_oldest(pipeline, "requests", cancelled[64])
    pipeline.call("POST", f"/requests/{cancelled[64]}/cancel")
    assert "oldest" not in queues(pipeline)["requests"] and queues(pipeline)["requests"]["depth"] == 1
    pipeline.call("POST", "/queues/requests/resume")
    pipeline.wait(kept, "delivered")


def test_the_oldest_of_many_hosts_is_found_in_little_time(launch, receiver):
    """A hundred hosts aside, the longest waiting amid them, and as many in the turn."""
    pipeline = launch(TIME_SCALE=1)
    pipeline.call("POST", "/queues/requests/pause")
    first = pipeline.post("http://127.0.0.1:7050/", receiver.url())
    later(pipeline, first)
    ids = pipeline.post_many([(f"http://127.0.0.1:{7000 + i}/", receiver.url()) for i in range(200)])
    assert len(ids) == 200
    redis = pipeline.redis
    lanes = [lane.decode() for lane in redis.call("LRANGE", "{f0}:f:t:d", 0, -1)]
    for lane in lanes[:100]:
        made = int(redis.call("LINDEX", f"{{f0}}:f:l:d:{lane}", 0).decode().replace("-", "")[:12], 16)
        redis.call("ZADD", "{f0}:f:a", made, lane)
        redis.call("LREM", "{f0}:f:t:d", 0, lane)
    until_oldest(pipeline, "requests", first)

    def spent():
        redis.call("CONFIG", "RESETSTAT")
        queues(pipeline)
        return int(redis.info("commandstats")["cmdstat_evalsha"].split("usec=")[1].split(",")[0])

    times = [spent() for _ in range(5)]  # µs; Redis counts the time that others have taken from it, too
    assert min(times) < 10_000 * patience.STRETCH, times


@pytest.mark.parametrize("queue", ["requests", "responses"])
def test_a_held_queue_starts_nothing_and_what_runs_finishes(launch, provider, receiver, queue):
    pipeline, gate = launch(), Gate()
    side = provider if queue == "requests" else receiver
    side.answers(Answer(hold=gate), 200)
    running = pipeline.post(provider.url(), receiver.url())
    side.holds(1)
    for _ in range(2):
        reply = pipeline.call("POST", f"/queues/{queue}/pause")
        assert reply.status == 200 and reply.json[queue]["paused"]
    waiting = [pipeline.post(provider.url(), receiver.url()) for _ in range(3)]
    gate.open()
    pipeline.wait(running, "delivered")
    for request in waiting:
        assert pipeline.wait(request, "queued" if queue == "requests" else "fetched")
    assert len(side.requests) == 1
    for _ in range(2):
        assert not pipeline.call("POST", f"/queues/{queue}/resume").json[queue]["paused"]
    pipeline.wait_all(waiting)


def test_a_held_queue_stays_held_over_restarts(launch, provider, receiver):
    pipeline = launch()
    pipeline.call("POST", "/queues/requests/pause")
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.redis.restart()
    for service in pipeline.services:
        service.restart()
    patience.until(pipeline.ready, "the api to be ready")
    assert queues(pipeline)["requests"]["paused"]
    assert pipeline.record(request)["waiting"]["reason"] == "queue_paused" and not provider.requests
    bell = "{f0}:f:bell"
    pipeline.redis.call("RPUSH", bell, "1")
    rung = lambda: pipeline.redis.call("LLEN", bell)
    patience.until(lambda: not rung(), "who must not begin anything to listen all the same")
    pipeline.consumer.kill()
    assert not rung()
    pipeline.call("POST", "/queues/requests/resume")
    assert rung(), "a resume rings the bell"
    pipeline.consumer.start()
    pipeline.wait(request, "delivered")


def test_there_are_two_queues(pipeline):
    for path in ("/queues/others/pause", "/queues/requests/hold", "/queues/requests"):
        assert pipeline.call("POST", path).status == 404
    assert pipeline.get("/queues/requests/pause").status == 405
