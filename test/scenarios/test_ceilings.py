"""The numbers that keep one part from taking what belongs to all: Redis' memory, a host's slots, its rest."""
import time

import pytest

from peers import patience
from peers.redis import Redis
from peers.web import Answer, Gate
from test_hosts import NEW_HOST, crowd, elsewhere_goes_on, warm

MIB = 1 << 20
SHARE = 75  # percent of Redis' memory, above which nothing is accepted
COLD_MS, COLD_ANSWERS = 30_000, 8
HOLD_S = 300  # a host rests so long at most, whatever it asks for
CHUNK_MS = 2 * 3600 * 1000


# -- Redis' memory


def fill(redis, percent):
    """maxmemory such that what is used is so much of it."""
    redis.call("CONFIG", "SET", "maxmemory", int(redis.info("memory")["used_memory"]) * 100 // percent)


def test_a_quarter_of_redis_is_left_for_what_is_accepted(launch, provider, receiver):
    pipeline = launch()
    pipeline.redis.call("SETRANGE", "ballast", 32 * MIB, "x")  # beside it, what comes and goes is nothing
    fill(pipeline.redis, SHARE + 2)
    ask = lambda: pipeline.ask(provider.url(), receiver.url())
    refused = patience.until(lambda: (reply := ask()).status != 202 and reply, "the api to refuse")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5"), refused
    fill(pipeline.redis, SHARE - 2)
    patience.until(lambda: ask().status == 202, "the api to accept again")


def evals(redis):
    return int(redis.info("commandstats")["cmdstat_evalsha"].split("=")[1].split(",")[0])


def test_no_more_is_fetched_than_a_quarter_of_redis(launch, cast, tmp_path, provider, receiver):
    """What is fetched and waits for its callback. Once that has gone out, fetching goes on."""
    redis = cast(Redis(str(tmp_path), maxmemory="8mb")).start()
    pipeline = launch(redis=redis, HOST_CONCURRENCY=1)
    provider.answers(Answer(body=b"x" * (MIB // 4)))
    assert pipeline.call("POST", "/queues/responses/pause").status == 200
    requests = [pipeline.post(provider.url(), receiver.url()) for _ in range(12)]
    enough = 2 * MIB // (MIB // 4) + 1
    provider.got(enough)
    pipeline.wait_all(requests[:enough], "fetched")
    said = evals(redis)
    patience.until(lambda: evals(redis) > said + 4, "the consumer to look again, and again")
    assert len(provider.requests) == enough
    assert pipeline.call("POST", "/queues/responses/resume").status == 200
    pipeline.wait_all(requests)


def test_pieces_that_nobody_commits_expire(launch, provider, receiver):
    pipeline = launch()
    provider.answers(Answer(body=b"x" * MIB, length=2 * MIB))  # and then nothing
    pipeline.post(provider.url(), receiver.url())
    [key, *_] = patience.until(lambda: pipeline.redis.call("KEYS", "{f0}:b:*"), "a piece to be stored")
    assert CHUNK_MS - 60_000 < pipeline.redis.call("PTTL", key) <= CHUNK_MS
    provider.down()


# -- a host


def host(pipeline, peer):
    return f"{{f0}}:f:h:127.0.0.1:{peer.port}"


def has_slots(pipeline, provider, receiver, peer, count):
    """So many of a crowd are fetched at once, and no more."""
    gate = Gate()
    provider.answers(Answer(hold=gate), path="/held")
    requests = crowd(pipeline, provider, receiver, 12)
    provider.holds(count)
    elsewhere_goes_on(pipeline, peer, receiver, rounds=3)
    assert provider.busy == count
    gate.open()
    pipeline.wait_all(requests)


@pytest.mark.parametrize("age, slots", [(COLD_MS * 2 // 3, NEW_HOST + 3), (COLD_MS + 1, NEW_HOST)])
def test_a_host_without_success_for_a_while_begins_anew(pipeline, provider, receiver, peer, age, slots):
    """Its last success is made so much older."""
    warm(pipeline, provider, receiver, 3)
    last = int(pipeline.redis.call("HGET", host(pipeline, provider), "g"))
    assert abs(last / 1000 - time.time()) < 10 * patience.STRETCH
    pipeline.redis.call("HSET", host(pipeline, provider), "g", last - age)
    has_slots(pipeline, provider, receiver, peer, slots)


@pytest.mark.parametrize("answers, slots", [(COLD_ANSWERS - 1, NEW_HOST + 3), (COLD_ANSWERS, NEW_HOST)])
def test_a_host_without_success_in_its_last_answers_begins_anew(
    pipeline, provider, receiver, peer, answers, slots
):
    warm(pipeline, provider, receiver, 3)
    provider.answers(404, path="/gone")
    gone = [pipeline.post(provider.url("/gone"), receiver.url()) for _ in range(answers)]
    pipeline.wait_all(gone, "failed")
    has_slots(pipeline, provider, receiver, peer, slots)


@pytest.mark.parametrize("stage", ["fetch", "deliver"])
def test_a_host_that_asks_for_much_is_held_for_five_minutes(launch, provider, receiver, stage):
    """The request that was told waits as long as it was told to; the others of its host do not."""
    scale, hint = 10, 3600
    pipeline = launch(TIME_SCALE=scale)
    asks = provider if stage == "fetch" else receiver
    asks.answers(Answer(429, headers={"Retry-After": str(hint)}), 200)
    told = pipeline.post(provider.url(), receiver.url())
    [attempt] = pipeline.wait_attempts(told, stage, 1)
    settled = pipeline.seconds(attempt["startedAt"])
    other = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(other, "queued" if stage == "fetch" else "fetched")
    waits = {request: pipeline.record(request)["waiting"] for request in (told, other)}
    assert waits[other]["reason"] == "held", waits
    until = {request: pipeline.seconds(waiting["until"]) - settled for request, waiting in waits.items()}
    assert until[told] >= hint / scale, until
    assert HOLD_S / scale <= until[other] < HOLD_S / scale + 5 * patience.STRETCH, until
