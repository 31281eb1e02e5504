"""Redis goes and comes: nothing accepted meanwhile, nothing lost, all work on without a restart."""
import threading
import time

import pytest

from peers import patience
from peers.redis import RedisError
from peers.tail import Tail
from peers.web import Answer, Gate

HEAL = 2.0  # seconds after PONG


def term(redis):
    redis.term()
    redis.start()


def kill(redis):
    redis.restart()


def cut_clients(redis):
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def forget_scripts(redis):
    redis.call("SCRIPT", "FLUSH")


def refuse_writes_for_a_while(redis):
    redis.call("CONFIG", "SET", "min-replicas-to-write", "1")
    redis.call("CONFIG", "SET", "min-replicas-to-write", "0")


OUTAGES = [term, kill, cut_clients, forget_scripts, refuse_writes_for_a_while]


def delivers_soon(pipeline, provider, receiver, within=HEAL):
    """Accepts, fetches and delivers again within so many seconds."""
    begun = time.monotonic()

    def accepted():
        reply = pipeline.ask(provider.url(), receiver.url())
        return reply.status == 202 and reply.json["requestId"]

    request = patience.until(accepted, "a request to be accepted")
    pipeline.wait(request, "delivered")
    took = time.monotonic() - begun
    assert took <= within * patience.STRETCH + 0.5, f"healed after {took:.1f} s"


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.__name__)
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_all_heal_by_themselves(launch, provider, receiver, peer, outage, state):
    pipeline, gate = launch(), Gate()
    slow, held = peer("slow", said=Answer(hold=gate)), []
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    if state == "busy":
        held = [pipeline.post(slow.url(), receiver.url("/held")) for _ in range(2)]
        slow.holds(2)
    for _ in range(2):
        outage(pipeline.redis)
        delivers_soon(pipeline, provider, receiver)
    gate.open()
    pipeline.wait_all(held)
    # an outage is nobody's fault
    assert len(slow.requests) == len(held) == len(receiver.at("/held"))


def test_while_redis_hangs_nothing_is_accepted_and_nobody_waits_long(launch, provider, receiver):
    pipeline = launch()
    pipeline.redis.stop()
    replies, begun = [], time.monotonic()

    def post():
        replies.append(pipeline.ask(provider.url(), receiver.url()))

    posting = [threading.Thread(target=post) for _ in range(10)]
    [one.start() for one in posting]
    [one.join() for one in posting]
    assert time.monotonic() - begun < 2 + 1.5 * patience.STRETCH
    for reply in replies:
        assert reply.status == 503 and reply.headers["Retry-After"], reply
    patience.until(lambda: not pipeline.ready(), "the api to say that it can't work")
    assert pipeline.get("/healthz").status == 200
    pipeline.redis.cont()
    pipeline.redis.wait_up()
    delivers_soon(pipeline, provider, receiver)
    maybe = {reply.json["requestId"] for reply in replies if "requestId" in reply.json}
    assert {seen.id for seen in receiver.requests[:-1]} <= maybe, "told with its id"


def test_a_redis_that_is_emptied_is_a_new_one(launch, provider, receiver):
    pipeline = launch()
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    pipeline.redis.call("FLUSHALL")
    delivers_soon(pipeline, provider, receiver, within=10)


def test_services_that_come_before_redis_wait_for_it(launch, provider, receiver):
    pipeline = launch()
    pipeline.redis.kill()
    for service in pipeline.services:
        service.kill()
        service.launch()
    patience.until(pipeline.lives, "the api to live without Redis")
    assert pipeline.get("/readyz").status == 503
    pipeline.redis.start()
    delivers_soon(pipeline, provider, receiver)
    assert all(service.alive for service in pipeline.services)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["half-open", "cut", "refused"])
def test_a_bad_wire_to_redis_heals(launch, redis, proxy, provider, receiver, fault):
    wire = proxy(redis.path, unix=True)
    pipeline = launch(redis=redis, REDIS_URL=wire.redis_url)
    delivers_soon(pipeline, provider, receiver)
    if fault == "half-open":
        wire.freeze()
        assert pipeline.ask(provider.url(), receiver.url()).status == 503
        wire.thaw()
        delivers_soon(pipeline, provider, receiver, within=4 + HEAL)
    else:
        wire.refuse = fault == "refused"
        wire.cut()
        patience.until(lambda: wire.connected == 0 or fault == "cut", "the wire to be cut")
        wire.refuse = False
        delivers_soon(pipeline, provider, receiver)


def test_a_full_redis_refuses_and_still_drains(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(hold=gate))
    inside = [pipeline.post(provider.url(), receiver.url()) for _ in range(20)]
    provider.holds(2)
    used = int(pipeline.redis.info("memory")["used_memory"])
    pipeline.redis.call("CONFIG", "SET", "maxmemory", used + 100)

    def refuses():
        reply = pipeline.ask(provider.url(), receiver.url())
        inside.append(reply.json["requestId"]) if reply.status == 202 else None
        return reply.status == 503 and reply

    assert patience.until(refuses, "the api to refuse").headers["Retry-After"]
    gate.open()
    pipeline.wait_all(inside)
    with pytest.raises(RedisError, match="OOM"):
        pipeline.redis.call("SET", "x", b"y" * 100000)
    pipeline.redis.call("CONFIG", "SET", "maxmemory", "512mb")
    delivers_soon(pipeline, provider, receiver, within=3)


def test_a_full_redis_lets_go_of_what_is_large_too(launch, provider, receiver):
    """A body above 1 MiB goes out as dataUrl, whose key nobody has asked for yet; and a tail is told."""
    pipeline = launch()
    provider.answers(Answer(body=b"y" * (2 << 20)))
    assert pipeline.call("POST", "/queues/responses/pause").status == 200
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "fetched")
    pipeline.redis.call("CONFIG", "SET", "maxmemory", "3mb")
    with pytest.raises(RedisError, match="OOM"):
        pipeline.redis.call("SET", "x", b"y")
    tail = Tail(pipeline, request)
    assert tail.take(2)[-1].data["event"] == "fetched"
    assert pipeline.redis.call("ZSCORE", "{f0}:watched", request)
    assert pipeline.call("POST", "/queues/responses/resume").status == 200
    assert receiver.got(1)[0].json["dataUrl"]
    assert tail.rest()[-1].name == "end"
    tail.close()
    pipeline.redis.call("CONFIG", "SET", "maxmemory", "512mb")
