"""Many requests, newest first, a page at a time; and what is done to all that a filter selects."""
import json
import time

import pytest

from peers import patience
from peers.keys import Keys, keyed
from peers.pipeline import sanitized
from peers.redis import Client, Redis
from peers.web import Answer, Gate

MANY = 100_000 if sanitized() else 1_000_000  # Redis does the work, whatever build asks it
SLOW_US = 5000  # no call to Redis may take longer, however many requests there are


def pages(pipeline, query="", call="GET", path="/requests"):
    """Page after page until there is no cursor: their JSON."""
    found, cursor = [], ""
    while True:
        reply = pipeline.call(call, f"{path}?{query}&cursor={cursor}" if cursor else f"{path}?{query}")
        assert reply.status in (200, 202), reply
        found.append(reply.json)
        cursor = reply.json.get("cursor")
        if not cursor:
            return found


def listed(pipeline, query=""):
    return [record["requestId"] for page in pages(pipeline, query) for record in page["requests"]]


def post_batch(pipeline, count, **options):
    items = [{"provider": "http://127.0.0.1:9/", "callbackUrl": "http://127.0.0.1:9/", **options}] * count
    reply = pipeline.call("POST", "/requests/batch", {"items": items})
    assert [item["status"] for item in reply.json["items"]] == [202] * count, reply
    return [item["requestId"] for item in reply.json["items"]]


def test_newest_first_and_each_once(launch):
    pipeline = launch(consumers=0)
    ids = [request for _ in range(3) for request in post_batch(pipeline, 90)]
    assert listed(pipeline) == ids[::-1]
    for limit in (1, 49, 50, 51, 120, 1000):
        assert listed(pipeline, f"limit={limit}") == ids[::-1], limit
    first = pipeline.get("/requests").json
    assert len(first["requests"]) == 100 and first["cursor"]
    assert first["requests"][0] == pipeline.record(ids[-1])


def test_a_cursor_is_stable(launch):
    """What is accepted later, or goes, moves nothing on the pages behind a cursor."""
    pipeline = launch(consumers=0)
    ids = post_batch(pipeline, 120)
    first = pipeline.get("/requests?limit=40").json
    assert [record["requestId"] for record in first["requests"]] == ids[:79:-1]
    post_batch(pipeline, 60)
    for request in (*ids[:30], ids[79], ids[60]):  # the oldest, the very next, and one amid
        assert pipeline.call("DELETE", f"/requests/{request}").status == 204
    second = pipeline.get(f"/requests?limit=1000&cursor={first['cursor']}").json
    assert [record["requestId"] for record in second["requests"]] == [
        request for request in ids[78:29:-1] if request != ids[60]
    ]
    assert "cursor" not in second


def test_filters(launch, provider, receiver, peer):
    pipeline, gate, other = launch(FETCH_SCHEDULE="5h"), Gate(), peer("other")
    provider.answers(404, path="/gone")
    provider.answers(Answer(hold=gate), path="/slow")
    begun = time.time()
    delivered = [pipeline.post(provider.url(), receiver.url(), labels=["a", "b c"]) for _ in range(2)]
    failed = pipeline.post(provider.url("/gone"), receiver.url(), labels=["a"])
    elsewhere = pipeline.post(other.url(), other.url(), delay="365d")
    fetching = pipeline.post(provider.url("/slow"), receiver.url())
    pipeline.wait_all(delivered)
    pipeline.wait(failed, "failed")
    pipeline.wait(fetching, "fetching")
    everything = [fetching, elsewhere, failed, *delivered[::-1]]
    assert listed(pipeline) == everything
    assert listed(pipeline, "state=delivered") == delivered[::-1]
    assert listed(pipeline, "state=failed") == listed(pipeline, "state=failed&label=a") == [failed]
    assert listed(pipeline, "state=fetching") == [fetching]
    assert listed(pipeline, "state=scheduled") == [elsewhere]
    assert listed(pipeline, "label=a") == [failed, *delivered[::-1]]
    assert listed(pipeline, "label=b%20c") == delivered[::-1] and listed(pipeline, "label=b") == []
    assert listed(pipeline, f"host=127.0.0.1:{other.port}") == [elsewhere]
    assert listed(pipeline, f"host=127.0.0.1:{receiver.port}") == [fetching, failed, *delivered[::-1]]
    assert listed(pipeline, "host=127.0.0.1") == everything and listed(pipeline, "host=127.0.0") == []
    made = {request: pipeline.record(request)["createdAt"] for request in everything}
    middle = made[failed]  # in the same millisecond there may be others
    assert listed(pipeline, f"since={middle}") == [one for one in everything if made[one] >= middle]
    assert listed(pipeline, f"until={middle}") == [one for one in everything if made[one] < middle]
    assert listed(pipeline, f"since={middle}&until={middle}") == []
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun - 7200))
    assert listed(pipeline, f"until={stamp}") == [] and listed(pipeline, f"since={stamp}") == everything
    gate.open()


def test_who_failed_twice_is_listed_once(pipeline, provider, receiver):
    provider.answers(404)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "failed")
    assert pipeline.call("POST", f"/requests/{request}/refetch").status == 200
    pipeline.wait(request, "failed")
    assert listed(pipeline, "state=failed").count(request) == 1


@pytest.mark.parametrize(
    "query, pointer",
    [
        ("state=lost", "state"), ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"),
        ("since=yesterday", "since"), ("until=1", "until"), ("cursor=1", "cursor"), ("cursor=i1.2.x", "cursor"),
        ("cursor=x1.", "cursor"), ("label=", "label"), (f"label={'x' * 65}", "label"), ("host=", "host"),
        ("limit=1&limit=2", "limit"), ("colour=red", ""), ("state=%zz", "state"),
    ],
)
def test_a_query_that_is_wrong(pipeline, query, pointer):
    for method, path in (("GET", "/requests"), ("POST", "/requests/cancel")):
        reply = pipeline.call(method, f"{path}?{query}")
        assert reply.status == 422 and list(reply.faults) == [pointer], reply


def test_a_page_is_short_rather_than_slow(launch):
    """2,000 records are examined for a page; a cursor says that there may be more."""
    pipeline = launch(consumers=0)
    wanted = post_batch(pipeline, 1, labels=["wanted"])
    for _ in range(3):
        post_batch(pipeline, 1000)
    first = pipeline.get("/requests?state=delivered").json
    assert first["requests"] == [] and first["cursor"]
    assert len(pages(pipeline, "state=delivered")) == 2
    assert listed(pipeline, "label=wanted") == wanted, "an index of its own"


# -- all that a filter selects


def test_bulk_cancel_a_thousand_a_call(launch):
    pipeline = launch(consumers=0)
    for _ in range(2):
        post_batch(pipeline, 1000, labels=["night"])
    kept = post_batch(pipeline, 5)
    answers = pages(pipeline, "label=night", "POST", "/requests/cancel")
    assert sum(answer["matched"] for answer in answers) == sum(answer["changed"] for answer in answers) == 2000
    assert all(answer["matched"] <= 1000 and answer["refused"] == 0 for answer in answers)
    assert pipeline.get("/queues").json["live"] == 5
    assert listed(pipeline, "state=queued") == kept[::-1]
    again = pipeline.call("POST", "/requests/cancel?label=night&limit=10").json
    assert (again["matched"], again["changed"], again["refused"]) == (10, 10, 0), "cancelled they are"


def test_bulk_redeliver_and_refetch(launch, provider, receiver):
    pipeline = launch()
    receiver.answers(*[410] * 6, 200)
    failed = [pipeline.post(provider.url(), receiver.url()) for _ in range(6)]
    pipeline.wait_all(failed, "failed")
    answer = pipeline.call("POST", "/requests/redeliver?state=failed").json
    assert answer == {"matched": 6, "changed": 6, "refused": 0}
    pipeline.wait_all(failed)
    assert len(provider.requests) == 6 and len(receiver.requests) == 12
    answer = pipeline.call("POST", f"/requests/refetch?host=127.0.0.1:{provider.port}&limit=2").json
    assert (answer["matched"], answer["changed"]) == (2, 2) and answer["cursor"]
    receiver.got(14)
    pipeline.wait_all(failed)
    refused = pipeline.call("POST", "/requests/cancel?state=delivered").json
    assert refused == {"matched": 6, "changed": 0, "refused": 6}


@pytest.fixture
def cancel_eight(launch, peer, receiver):
    """cancel_eight(): (the answer, how long it took) of a call that cancels eight fetches under way."""
    pipeline, gate = launch(), Gate()
    hosts = [peer(f"host {n}", said=Answer(hold=gate)) for n in range(4)]

    def run(silent=False):
        requests = [pipeline.post(host.url(), receiver.url()) for host in hosts for _ in range(2)]
        for host in hosts:  # a new host has two slots
            host.holds(2)
        if silent:
            pipeline.consumer.stop()
        begun = time.monotonic()
        answer = pipeline.call("POST", "/requests/cancel?state=fetching")
        took = time.monotonic() - begun
        still = {"cancelling": True} if answer.status == 202 else {}
        assert answer.json == {"matched": 8, "changed": 8, "refused": 0, **still}
        assert {pipeline.state(request) for request in requests} == {"cancelled"}
        pipeline.consumer.cont()
        patience.until(lambda: not any(host.busy for host in hosts), "all to be cut")
        return answer, took

    yield run
    gate.open()


def test_bulk_cancel_is_answered_when_the_workers_have_let_go(cancel_eight):
    for _ in range(3):  # a worker or an api that has no processor for a second proves nothing
        answer, took = cancel_eight()
        assert answer.status == 200 or (answer.status == 202 and took >= 1.0), answer
        if answer.status == 200 and took < 1.0 * patience.STRETCH:
            return
    raise AssertionError(f"{answer} after {took:g} s, of workers that listen")


def test_bulk_cancel_waits_for_the_workers_together(cancel_eight):
    answer, took = cancel_eight(silent=True)
    assert answer.status == 202
    assert 1.0 <= took < min(3.5 * patience.STRETCH, 4), "8 s and more, one after the other; 4 s, host by host"


# -- large records

LARGE = "\x7f" * (256 * 1024 - 8)  # each character is six in the record


def post_one(pipeline, body):
    fetch = {"method": "POST", "body": body}
    request = {"provider": "http://127.0.0.1:9/", "callbackUrl": "http://127.0.0.1:9/", "fetch": fetch}
    reply = pipeline.call("POST", "/requests", json.dumps(request, ensure_ascii=False))
    assert reply.status == 202, reply
    return reply.json["requestId"]


def test_large_records_make_short_pages_that_miss_nothing(launch):
    pipeline = launch(consumers=0, responders=0)
    ids = [post_one(pipeline, body) for _ in range(4) for body in (LARGE, "x", LARGE[: 30 * 1024], "x", LARGE)]
    for limit in (1, 3, 1000):
        assert listed(pipeline, f"limit={limit}") == ids[::-1], limit
    nothing = pages(pipeline, "host=nothing.example")
    assert not any(page["requests"] for page in nothing)
    assert len(nothing) >= 4, "two of 1.5 MiB are enough for a page"


def test_what_others_sent_takes_nothing_from_a_page(launch, tmp_path):
    keys = Keys(tmp_path).write(("alice", "wonder"), ("bob", "builder"))
    pipeline = launch(consumers=0, responders=0, API_KEYS=keys.path)
    alice, bob = keyed(pipeline, "wonder"), keyed(pipeline, "builder")
    ids = []
    for _ in range(3):
        ids.append(post_one(alice, "x"))
        post_one(bob, LARGE), post_one(bob, LARGE)
    page, *more = pages(alice)
    assert [record["requestId"] for record in page["requests"]] == ids[::-1] and not more


# -- a large backlog


def places(redis):
    """Cursors all over the index, one each 10,000 requests; and some whose list has lost its head since."""
    found = []
    for slot in map(int, redis.call("ZRANGE", "{f0}:m:i", 0, -1)):
        key = f"{{f0}}:i:{slot}"
        for at in range(redis.call("LLEN", key) - 1, 0, -10_000):
            request = redis.call("LINDEX", key, at).decode()
            found.append(f"i{slot}.{at}.{request}")
        found.append(f"i{slot}.{at + 1}.{request}")
    return found


def main_thread_us(client):
    """What Redis' own thread has had of a processor so far."""
    told = dict(line.split(":", 1) for line in client.call("INFO", "cpu").decode().splitlines() if ":" in line)
    return sum(float(told[f"used_cpu_{kind}_main_thread"]) for kind in ("user", "sys")) * 1e6


def slow_calls(redis):
    """[(us, words)]: of the calls that took longest by the wall, those that take long by themselves. While others have
    the processor any call does; so each is made again (they only read), and the least that it takes of Redis' thread
    counts."""
    client, found = Client(redis.path, timeout=60), []
    calls = [entry for entry in client.call("SLOWLOG", "GET", -1) if entry[3][0].upper() == b"EVALSHA"]
    for _, _, _, words, *_ in sorted(calls, key=lambda entry: -entry[2])[:50]:
        taken = []
        for _ in range(3):
            before = main_thread_us(client)
            client.call(*words)
            taken.append(main_thread_us(client) - before)
        if min(taken) > SLOW_US:
            found.append((min(taken), words))
    client.close()
    return found


@pytest.mark.long
def test_a_million_requests_are_listed_without_one_slow_call(launch, cast, tmp_path):
    """Only reads are looked at, so this Redis keeps no file of the million: it would cost minutes."""
    redis = cast(Redis(str(tmp_path), maxmemory="3gb", appendonly="no", slowlog_max_len="100000")).start()
    pipeline = launch(redis=redis, consumers=0, responders=0, QUEUE_MAX=2 * MANY, DURABILITY="relaxed")
    wanted = post_batch(pipeline, 1, labels=["wanted"])
    for _ in range(MANY // 1000):
        post_batch(pipeline, 1000)
    everywhere = places(redis)
    assert len(everywhere) > MANY // 10_000
    redis.call("CONFIG", "SET", "slowlog-log-slower-than", SLOW_US)
    redis.call("SLOWLOG", "RESET")
    cursor = ""
    for _ in range(10):
        page = pipeline.get(f"/requests?limit=1000{cursor}").json
        assert len(page["requests"]) == 1000
        cursor = f"&cursor={page['cursor']}"
    for cursor in everywhere:
        page = pipeline.get(f"/requests?limit=1000&cursor={cursor}").json
        assert len(page["requests"]) == 1000 or "cursor" not in page
        assert page["requests"][0]["requestId"] == cursor.rpartition(".")[2]
    assert pipeline.get("/requests?state=delivered").json["requests"] == []
    assert [one["requestId"] for one in pipeline.get("/requests?label=wanted").json["requests"]] == wanted
    assert pipeline.get("/queues").json["live"] == MANY + 1
    assert pipeline.get(f"/requests/{wanted[0]}").json["waiting"]["reason"] == "no_worker"
    assert slow_calls(redis) == []
