"""A final record takes no more of Redis' memory than its length asks for, and no more of its disk."""
import glob
import os

import pytest

from peers import patience
from peers.web import Answer, Gate

OVERHEAD = 200  # Redis' own for a key: its name, an entry of the table, an object


def key(request):
    return f"{{f0}}:r:{request}"


def room(redis, request):
    """What its record takes, and what it may: an allocator rounds up by a quarter at most."""
    length = redis.call("STRLEN", key(request))
    assert length > 0
    return redis.call("MEMORY", "USAGE", key(request)), (length + 1) * 5 // 4 + OVERHEAD


def fits(pipeline, request):
    taken, most = room(pipeline.redis, request)
    return taken <= most


@pytest.mark.parametrize("size", [256, 16_000, 300_000])
def test_a_delivered_record_takes_what_it_needs(pipeline, provider, receiver, size):
    provider.answers(Answer(body=b"x" * size))
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert fits(pipeline, request), room(pipeline.redis, request)


def test_so_does_every_one_of_many_that_end_together(pipeline, provider, receiver):
    ids = pipeline.post_many([(provider.url(), receiver.url())] * 200)
    pipeline.wait_all(ids)
    assert [one for one in ids if not fits(pipeline, one)] == []


def test_so_do_those_that_end_otherwise(launch, provider, receiver):
    """Failed, cancelled, superseded, and delivered again."""
    pipeline = launch(TIME_SCALE=1)
    provider.answers(404, path="/gone")
    failed = pipeline.post(provider.url("/gone"), receiver.url())
    pipeline.wait(failed, "failed")
    cancelled = pipeline.post(provider.url(), receiver.url(), delay="1h")
    assert pipeline.call("POST", f"/requests/{cancelled}/cancel").status == 200
    latest = {"dedupeKey": "k", "dedupeMode": "latest", "delay": "1h"}
    _, superseded, _ = [pipeline.post(provider.url(), receiver.url(), **latest) for _ in range(3)]
    assert pipeline.state(superseded) == "cancelled"
    again = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(again, "delivered")
    assert pipeline.call("POST", f"/requests/{again}/redeliver").status == 200
    patience.until(lambda: len(pipeline.attempts(again, "deliver")) == 2, "it to be delivered again")
    for request in (failed, cancelled, superseded, again):
        assert fits(pipeline, request), (pipeline.record(request), room(pipeline.redis, request))


def test_a_redis_that_is_full_fits_them_too(launch, provider, receiver):
    pipeline, gate = launch(), Gate()
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    pipeline.redis.call("CONFIG", "SET", "maxmemory", "1mb")
    gate.open()
    pipeline.wait(request, "delivered")
    assert fits(pipeline, request)


def test_neither_the_file_nor_a_restart_knows_of_it(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert fits(pipeline, request)
    stands = lambda: [
        pipeline.redis.call(*words) for words in
        [("GET", key(request)), ("HMGET", "{f0}:c", "live", "kept", "bytes"), ("LRANGE", "{f0}:finished", 0, -1)]
    ]
    before = stands()
    folder = pipeline.redis.call("CONFIG", "GET", "dir")[1].decode()
    file = b""
    for part in glob.glob(os.path.join(folder, "appendonlydir", "*.incr.aof")):
        with open(part, "rb") as read:
            file += read.read()
    name = b"$%d\r\n%s\r\n" % (len(key(request)), key(request).encode())
    assert (file.count(b"SET\r\n" + name), file.count(b"APPEND\r\n" + name)) == (1, 2)
    pipeline.redis.restart()
    assert stands() == before and before[1][0] == b"0"
