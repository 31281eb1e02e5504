"""What has ended goes when it is old, or when there is too much of it; what lives is never touched."""
import threading
import time

import pytest

from peers import metrics, patience
from peers.redis import Client
from peers.web import Answer, Gate
from test_doctor import diagnosis

LARGE = b"x" * 100_000  # lies in chunks
VERY_LARGE = b"x" * 6_000_000
AT_ONCE = "1s"  # a thousandth of it, by TIME_SCALE
ALL_AT_ONCE = {"RETENTION_DATA": AT_ONCE, "RETENTION_RECORD": AT_ONCE, "RETENTION_DEAD": AT_ONCE}


@pytest.fixture
def pipeline(launch):
    """Its own workers keep things for minutes: what goes, a keeper takes."""
    return launch(FETCH_SCHEDULE="1s,500h", CALLBACK_SCHEDULE="500h")


@pytest.fixture
def keep(pipeline):
    """keep(RETENTION_DATA="1s"): one more consumer, which keeps things as these settings say."""

    def start(**settings):
        keeper = pipeline.hire("consumer")
        keeper.env.update({"LEASE": "1s", **pipeline._place(), **{name: str(value) for name, value in settings.items()}})
        return keeper.start()

    return start


def tagged(name):
    return f"{{f0}}:{name}"


def counted(pipeline, name="kept"):
    return int(pipeline.redis.call("HGET", tagged("c"), name))


def stands(pipeline, request):
    """"all", "no data", "no log" or "nothing": what is left of one that has had chunks and several events."""
    record = pipeline.redis.call("GET", tagged(f"r:{request}"))
    if record is None:
        return "nothing"
    events = [line.split(b"\t") for line in record.splitlines()[1:]]
    if len(events) == 1:
        return "no log"
    return "all" if any(len(event) > 15 for event in events) else "no data"


def until(pipeline, request, wanted):
    patience.until(lambda: stands(pipeline, request) == wanted, lambda: f"{wanted} of {request}: {stands(pipeline, request)}")


def change(pipeline, request, verb):
    assert pipeline.call("POST", f"/requests/{request}/{verb}").status == 200


def delivered(pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    return request


def failed(pipeline, provider, peer):
    request = pipeline.post(provider.url(), peer("refusing", said=410).url())
    pipeline.wait(request, "failed")
    return request


def test_data_goes_first_then_the_record_and_last_what_has_failed(pipeline, keep, provider, receiver, peer):
    provider.answers(Answer(body=LARGE))
    ended, dead = delivered(pipeline, provider, receiver), failed(pipeline, provider, peer)
    waits = pipeline.post(provider.url(), peer("down", said=500).url())
    pipeline.wait_attempts(waits, "deliver", 1)
    chunks = lambda: len(pipeline.redis.call("KEYS", tagged("b:*")))
    log, all_chunks = pipeline.logs(ended), chunks()

    keeper = keep(RETENTION_DATA=AT_ONCE)
    until(pipeline, ended, "no data")
    assert pipeline.logs(ended) == log and pipeline.get(f"/requests/{ended}/data").status != 200
    assert chunks() * 3 == all_chunks * 2, "the bytes are gone, not only their name"
    assert pipeline.data(dead) == LARGE, "what has failed is kept with all it has"
    keeper.end()

    keeper = keep(RETENTION_RECORD=AT_ONCE)
    until(pipeline, ended, "nothing")
    assert stands(pipeline, dead) == "all" and pipeline.get("/queues").json["dead"] == 1
    keeper.end()

    keep(RETENTION_DEAD=AT_ONCE)
    until(pipeline, dead, "nothing")
    assert pipeline.data(waits) == LARGE and chunks() * 3 == all_chunks
    figures = metrics.ask(pipeline.port)
    told = {name: figures[f"fetchback_{name}"] for name in ("kept_bytes", "trimmed_total", "dead_letters")}
    assert told == {"kept_bytes": 0, "trimmed_total": 2, "dead_letters": 0}
    assert [pipeline.get(f"/requests/{request}").status for request in (ended, dead, waits)] == [404, 404, 200]
    assert [record["requestId"] for record in pipeline.get("/requests").json["requests"]] == [waits]
    assert diagnosis(pipeline)["counts"] == []


def test_age_counts_from_the_end(launch, provider, receiver):
    """However long a request has lived; nothing goes before its record says."""
    mild = {"responder": {"RETENTION_DATA": "72h"}}  # only the consumer takes anything away
    pipeline, gate = launch(TIME_SCALE=2, RETENTION_DATA="1s", LEASE="1s", only=mild), Gate()
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    old = pipeline.seconds(pipeline.record(request)["createdAt"]) + 0.6
    patience.until(lambda: time.time() > old, "it to be older than data is kept")
    pipeline.consumer.stop()  # until its record has been read
    gate.open()
    expires = pipeline.seconds(pipeline.wait(request, "delivered")["data"]["expiresAt"])
    pipeline.consumer.cont()
    until(pipeline, request, "no data")
    assert time.time() >= expires >= old + 0.5 - 0.01


def test_too_much_goes_piece_by_piece_the_oldest_first(pipeline, keep, provider, receiver, peer):
    """Each time it is one byte too much, and the next one thing goes."""
    provider.answers(Answer(body=LARGE))
    dead = failed(pipeline, provider, peer)
    second, first = [delivered(pipeline, provider, receiver) for _ in range(2)]
    change(pipeline, second, "redeliver")
    receiver.got(3)
    pipeline.wait(second, "delivered")
    for worker in pipeline.workers:
        worker.end()
    left = dict.fromkeys([first, second, dead], "all")

    def lose(request, what):
        left[request] = what
        keeper = keep(RETENTION_MEMORY=counted(pipeline) - 1)
        until(pipeline, request, what)
        keeper.end()
        assert {request: stands(pipeline, request) for request in left} == left

    for what in ("no data", "no log", "nothing"):
        for request in (first, second):
            lose(request, what)
    lose(dead, "nothing")
    assert [counted(pipeline, name) for name in ("kept", "dead", "trimmed")] == [0, 0, 3]


def test_data_goes_with_its_record_at_the_latest(pipeline, keep, provider, receiver):
    provider.answers(Answer(body=LARGE))
    ended = delivered(pipeline, provider, receiver)
    keep(RETENTION_RECORD=AT_ONCE, RETENTION_DATA="500h")
    until(pipeline, ended, "nothing")
    assert not pipeline.redis.call("KEYS", tagged("b:*"))


def test_half_of_redis_is_the_most(pipeline, keep, provider, receiver):
    provider.answers(Answer(body=VERY_LARGE))
    first, second = [delivered(pipeline, provider, receiver) for _ in range(2)]
    pipeline.redis.call("CONFIG", "SET", "maxmemory", 2 * (counted(pipeline) - 1))
    keep()
    until(pipeline, first, "no data")
    assert stands(pipeline, second) == "all"


def test_a_redis_under_pressure_keeps_less(pipeline, keep, provider, receiver):
    """By its own figure, whatever has been counted: labels and keys use memory too."""
    provider.answers(Answer(body=VERY_LARGE))
    first, second = [delivered(pipeline, provider, receiver) for _ in range(2)]
    used = int(pipeline.redis.info("memory")["used_memory"])
    pipeline.redis.call("CONFIG", "SET", "maxmemory", int((used - len(VERY_LARGE) // 2) / 0.7))
    keep(RETENTION_MEMORY="1GiB")
    until(pipeline, first, "no data")
    assert stands(pipeline, second) == "all"


def test_indexes_go_with_their_requests_in_whatever_order_these_go(pipeline, keep, provider, receiver):
    labels = [f"label-{i}" for i in range(3)]
    assert pipeline.call("POST", "/queues/requests/pause").status == 200
    item = {"provider": provider.url(), "callbackUrl": receiver.url(), "labels": labels}
    answer = pipeline.call("POST", "/requests/batch", {"items": [item] * 400}).json
    ids = [item["requestId"] for item in answer["items"]]
    for request in [*ids[1:-1], ids[0], ids[-1]]:  # the ends last: a long run between them has gone
        assert pipeline.call("DELETE", f"/requests/{request}").status == 204
    keep()
    patience.until(
        lambda: not [key for key in pipeline.redis.call("KEYS", tagged("[im]:*")) + pipeline.redis.call("KEYS", tagged("n:*"))],
        lambda: pipeline.redis.call("KEYS", "*"))


def test_who_goes_on_again_and_again_is_noted_once(pipeline, provider, receiver):
    assert pipeline.call("POST", "/queues/requests/pause").status == 200
    request = pipeline.post(provider.url(), receiver.url())
    for _ in range(5):
        change(pipeline, request, "cancel")
        change(pipeline, request, "refetch")
    change(pipeline, request, "cancel")
    assert pipeline.redis.call("LLEN", tagged("finished")) == 1


def test_a_budget_of_its_own(pipeline, keep, provider, receiver):
    provider.answers(Answer(body=LARGE))
    ended = [delivered(pipeline, provider, receiver) for _ in range(4)]
    keep(RETENTION_MEMORY=2 * len(LARGE) + 10_000)
    until(pipeline, ended[1], "no data")
    assert [stands(pipeline, request) for request in ended] == ["no data", "no data", "all", "all"]
    assert 2 * len(LARGE) < counted(pipeline) <= 2 * len(LARGE) + 10_000


def test_what_lives_is_never_touched(pipeline, keep, provider, receiver, peer):
    """Each of them has ended before, and has been noted for retention: in each of its lists but one."""
    provider.answers(Answer(body=LARGE))
    again = pipeline.post(provider.url(), peer("twice", said=200).answers(200, 500).url())
    pipeline.wait(again, "delivered")
    bare, dead = delivered(pipeline, provider, receiver), failed(pipeline, provider, peer)
    keeper = keep(RETENTION_DATA=AT_ONCE)
    until(pipeline, bare, "no data")
    keeper.end()
    assert [len(pipeline.redis.call("LRANGE", tagged(name), 0, -1)) for name in ("bare", "dead")] == [2, 1]

    assert pipeline.call("POST", "/queues/requests/pause").status == 200
    for request in (again, bare, dead):
        change(pipeline, request, "refetch")
    ends = [pipeline.post(provider.url(), receiver.url()) for _ in range(2)]
    for request in ends:
        change(pipeline, request, "cancel")
    change(pipeline, ends[0], "refetch")
    live = [again, bare, dead, ends[0]]
    records = [pipeline.redis.call("GET", tagged(f"r:{request}")) for request in live]
    keeper = keep(**ALL_AT_ONCE, RETENTION_MEMORY=1)
    until(pipeline, ends[1], "nothing")
    keeper.end()
    assert [pipeline.redis.call("GET", tagged(f"r:{request}")) for request in live] == records
    assert diagnosis(pipeline)["counts"] == []
    assert pipeline.call("POST", "/queues/requests/resume").status == 200
    pipeline.wait_attempts(again, "deliver", 1)
    pipeline.wait_all([bare, ends[0]])
    pipeline.wait(dead, "failed")


class Watcher:
    """Sees what each script deletes, as Redis itself tells it."""

    def __init__(self, path):
        self.deleted = [0]  # records, a script call each
        self._client = Client(path)
        assert self._client.call("MONITOR") == "OK"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while line := self._client._reply():
                if '"EVAL' in line:
                    self.deleted.append(0)
                elif ' lua] "DEL" "{f0}:r:' in line:
                    self.deleted[-1] += 1
        except (OSError, ValueError):
            pass  # the test is over, and so is its Redis


def test_a_little_at_a_time(launch):
    pipeline = launch(consumers=0, responders=0)
    item = {"provider": "http://127.0.0.1:9/", "callbackUrl": "http://127.0.0.1:9/"}
    assert pipeline.call("POST", "/requests/batch", {"items": [item] * 350}).status == 200
    assert pipeline.call("POST", "/requests/cancel").json["changed"] == 350
    watcher = Watcher(pipeline.redis.path)
    keeper = pipeline.hire("consumer")
    keeper.env.update({"LEASE": "1s", **pipeline._place(), **ALL_AT_ONCE})
    keeper.start()
    patience.until(lambda: sum(watcher.deleted) == 350, lambda: f"all to go: {watcher.deleted}")
    assert max(watcher.deleted) <= 100, "Redis is everybody's"
    assert metrics.ask(pipeline.port)["fetchback_trimmed_total"] == 350
