"""Redis goes and comes: nothing accepted meanwhile, nothing lost, all work on without a restart."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from peers import patience, rounds
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


def empty(redis):
    redis.call("FLUSHALL")


def forget_scripts(redis):
    redis.call("SCRIPT", "FLUSH")


def refuse_writes_for_a_while(redis):
    redis.call("CONFIG", "SET", "min-replicas-to-write", "1")
    redis.call("CONFIG", "SET", "min-replicas-to-write", "0")


OUTAGES = [term, kill, cut_clients, forget_scripts, refuse_writes_for_a_while]


def heals_soon(pipeline, provider, receiver, outage, within=HEAL):
    """
    Accepts, fetches and delivers again within so many seconds of the end of outage(): what was accepted for it.
    An outage may have measured something itself: what, in how many seconds, and the bound.
    """
    requests = []

    def accepted():
        reply = pipeline.ask(provider.url(), receiver.url())
        return reply.status == 202 and reply.json["requestId"]

    def play():
        found = outage() or []
        begun = time.monotonic()
        requests.append(patience.until(accepted, "a request to be accepted"))
        pipeline.wait(requests[-1], "delivered")
        found.append(("healed", time.monotonic() - begun, within * patience.STRETCH + 0.5))
        # judged when all is well again, so that the next round breaks something
        for what, took, bound in found:
            rounds.in_time(took, bound, what)

    rounds.best_of_three(play)
    return requests


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
        heals_soon(pipeline, provider, receiver, lambda: outage(pipeline.redis))
    gate.open()
    pipeline.wait_all(held)
    # an outage is nobody's fault
    assert len(slow.requests) == len(held) == len(receiver.at("/held"))


def test_while_redis_hangs_nothing_is_accepted_and_nobody_waits_long(launch, provider, receiver):
    pipeline, maybe = launch(), set()
    first = pipeline.post(provider.url(), receiver.url())  # Redis knows the script from now on: what is sent is run
    pipeline.wait(first, "delivered")

    def post(_):
        begun = time.monotonic()
        return pipeline.ask(provider.url(), receiver.url()), time.monotonic() - begun

    def hang():
        pipeline.redis.stop()
        with ThreadPoolExecutor(10) as posting:
            replies, took = zip(*posting.map(post, range(10)))
        for reply in replies:
            assert reply.status == 503 and reply.headers["Retry-After"], reply
        patience.until(lambda: not pipeline.ready(), "the api to say that it can't work")
        assert pipeline.get("/healthz").status == 200
        pipeline.redis.cont()
        pipeline.redis.wait_up()
        maybe.update(reply.json["requestId"] for reply in replies if "requestId" in reply.json)
        return [("the last of them answered", max(took), 2 + 1.5 * patience.STRETCH)]

    accepted = heals_soon(pipeline, provider, receiver, hang)
    assert maybe, "some had been sent"
    assert {seen.id for seen in receiver.requests} - {first, *accepted} <= maybe, "told with its id"


def test_a_redis_that_is_emptied_is_a_new_one(launch, provider, receiver):
    pipeline = launch()
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    heals_soon(pipeline, provider, receiver, lambda: empty(pipeline.redis), within=10)


def test_services_that_come_before_redis_wait_for_it(launch, provider, receiver):
    pipeline = launch()

    def come_first():
        pipeline.redis.kill()
        for service in pipeline.services:
            service.kill()
            service.launch()
        patience.until(pipeline.lives, "the api to live without Redis")
        assert pipeline.get("/readyz").status == 503
        pipeline.redis.start()

    heals_soon(pipeline, provider, receiver, come_first)
    assert all(service.alive for service in pipeline.services)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["half-open", "cut", "refused"])
def test_a_bad_wire_to_redis_heals(launch, redis, proxy, provider, receiver, fault):
    wire = proxy(redis.path, unix=True)
    pipeline = launch(redis=redis, REDIS_URL=wire.redis_url)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")

    def freeze():
        wire.freeze()
        assert pipeline.ask(provider.url(), receiver.url()).status == 503
        wire.thaw()

    def cut():
        wire.refuse = fault == "refused"
        wire.cut()
        patience.until(lambda: wire.connected == 0 or fault == "cut", "the wire to be cut")
        wire.refuse = False

    if fault == "half-open":
        heals_soon(pipeline, provider, receiver, freeze, within=4 + HEAL)
    else:
        heals_soon(pipeline, provider, receiver, cut)


def test_a_full_redis_refuses_and_still_drains(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    provider.answers(Answer(hold=gate))
    inside = [pipeline.post(provider.url(), receiver.url()) for _ in range(20)]
    provider.holds(2)

    def refuses():
        reply = pipeline.ask(provider.url(), receiver.url())
        inside.append(reply.json["requestId"]) if reply.status == 202 else None
        return reply.status == 503 and reply

    def fill():
        used = int(pipeline.redis.info("memory")["used_memory"])
        pipeline.redis.call("CONFIG", "SET", "maxmemory", used + 100)
        assert patience.until(refuses, "the api to refuse").headers["Retry-After"]
        gate.open()
        pipeline.wait_all(inside)
        with pytest.raises(RedisError, match="OOM"):
            pipeline.redis.call("SET", "x", b"y" * 100000)
        pipeline.redis.call("CONFIG", "SET", "maxmemory", "512mb")

    heals_soon(pipeline, provider, receiver, fill, within=3)


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
