"""dedupeKey: drop what is the same, join one fetch, or keep only the latest."""
import threading
import time

import pytest

from peers import patience
from peers.pipeline import counted, sanitized
from peers.web import Answer, Gate

CROWD = 200 if sanitized() else 1000


@pytest.fixture
def gate():
    return Gate()


def ask(pipeline, provider, receiver, mode, path="/", **more):
    more = {"dedupeWindow": "1000h", **more}  # an hour in scaled time: longer than any test here
    return pipeline.ask(provider.url(path), receiver.url(), dedupeKey="object", dedupeMode=mode, **more)


def test_drop_answers_the_earlier_one(launch, provider, receiver, gate):
    pipeline = launch(DEDUPE_WINDOW="1000h")
    provider.answers(Answer(hold=gate))
    first = pipeline.ask(provider.url(), receiver.url(), dedupeKey="object")  # drop is what it does by itself
    again = ask(pipeline, provider, receiver, "drop", labels=["other", "options"])
    request = first.json["requestId"]
    assert first.json == {"requestId": request} and again.status == 202
    assert again.json["requestId"] == request and again.json["deduplicated"] is True
    gate.open()
    pipeline.wait(request, "delivered")
    assert len(provider.requests) == len(receiver.requests) == 1


@pytest.mark.parametrize("mode", ["drop", "join", "latest"])
@pytest.mark.parametrize(
    "other",
    [
        {"path": "/other"}, {"fetch": {"method": "HEAD"}}, {"fetch": {"headers": {"A": "b"}}},
        {"fetch": {"method": "POST", "body": "b"}},
    ],
)
def test_another_fetch_under_the_key_is_refused(launch, provider, receiver, mode, other):
    pipeline = launch(consumers=0)
    assert ask(pipeline, provider, receiver, mode).status == 202
    assert ask(pipeline, provider, receiver, mode, **other).status == 422


@pytest.mark.parametrize("given", [{}, {"dedupeWindow": "300s"}, {"dedupeWindow": 300}])
def test_the_window_counts_from_acceptance(launch, provider, receiver, given):
    """The clock is read before and after each ask: an answer that is late proves nothing wrong."""
    pipeline = launch(TIME_SCALE=300)  # 5 min, the default, are 1 s
    asks = []  # (begun, id, answered)

    def send():
        begun = time.time()
        request = pipeline.post(provider.url(), receiver.url(), dedupeKey="object", **given)
        asks.append((begun, request, time.time()))
        return request

    first = send()
    patience.until(lambda: send() != first, "the window to close")
    opened = pipeline.seconds(pipeline.record(first)["createdAt"])
    (_, _, accepted), *same, (_, _, closed) = asks
    assert closed >= opened + 0.99, "who asks within the window is answered the first"
    assert all(begun <= accepted + 1.01 for begun, _, _ in same), "and nobody who asks after it"


def test_joined_requests_share_one_fetch(launch, provider, receiver, gate):
    pipeline = launch()
    provider.answers(Answer(body=b'{"a": 1}', hold=gate))
    requests = [ask(pipeline, provider, receiver, "join", meta=i).json["requestId"] for i in range(CROWD)]
    provider.holds(1)
    assert len(set(requests)) == CROWD
    assert pipeline.record(requests[-1])["waiting"] == {"reason": "joined"}
    gate.open()
    seen = receiver.got(CROWD, timeout=60)
    pipeline.wait_all(requests)
    assert {one.id: one.json["meta"] for one in seen} == {request: i for i, request in enumerate(requests)}
    assert all(one.json["data"] == {"a": 1} for one in seen)
    assert len(receiver.requests) == CROWD and len(provider.requests) == 1
    assert pipeline.get("/queues").json["undeliveredBytes"] == 0
    follower = pipeline.record(requests[1])
    assert counted(follower) == [("deliver", 1)] and follower["data"]["bytes"] == 8
    late = ask(pipeline, provider, receiver, "join").json["requestId"]
    pipeline.wait(late, "delivered")
    assert late not in requests and len(provider.requests) == 1, "the data was there already"


def test_a_leader_that_is_cancelled_leaves_the_others(launch, provider, receiver, gate):
    pipeline = launch()
    provider.answers(Answer(hold=gate), {"second": 1})
    requests = [ask(pipeline, provider, receiver, "join").json["requestId"] for _ in range(CROWD)]
    provider.holds(1)
    assert pipeline.alter(requests[0], "cancel").status == 200
    receiver.got(CROWD - 1, timeout=60)
    pipeline.wait_all(requests[1:])
    gate.open()
    assert len(receiver.requests) == CROWD - 1
    assert {seen.id for seen in receiver.requests} == set(requests[1:])
    assert len(provider.requests) == 2, "its own, which was cut, and one for all the others"


@pytest.mark.parametrize("call", ["cancel", "delete"])
def test_a_follower_that_leaves_takes_nobody_along(launch, provider, receiver, gate, call):
    pipeline = launch()
    provider.answers(Answer(hold=gate))
    requests = [ask(pipeline, provider, receiver, "join").json["requestId"] for _ in range(3)]
    provider.holds(1)
    if call == "delete":
        assert pipeline.call("DELETE", f"/requests/{requests[1]}").status == 204
    else:
        assert pipeline.call("POST", f"/requests/{requests[1]}/cancel").status == 200
    gate.open()
    pipeline.wait_all([requests[0], requests[2]])
    assert {seen.id for seen in receiver.requests} == {requests[0], requests[2]}
    assert len(provider.requests) == 1


def test_a_failed_fetch_fails_all_who_joined(launch, provider, receiver, peer, gate):
    pipeline, oops = launch(), peer("oops")
    provider.answers(Answer(404, hold=gate))
    requests = [
        ask(pipeline, provider, receiver, "join", failureCallbackUrl=oops.url()).json["requestId"] for _ in range(5)
    ]
    provider.holds(1)
    gate.open()
    for record in pipeline.wait_all(requests, "failed"):
        assert record["error"]["code"] == "http_status"
    assert {seen.id for seen in oops.got(5)} == set(requests)
    assert len(provider.requests) == 1 and not receiver.requests


def test_joined_data_may_be_large(launch, provider, receiver, gate):
    """Chunks are shared, and go with the last who has them."""
    pipeline, body = launch(), b"x" * 300000
    provider.answers(Answer(body=body, type="text/plain", hold=gate))
    requests = [ask(pipeline, provider, receiver, "join").json["requestId"] for _ in range(3)]
    provider.holds(1)
    gate.open()
    pipeline.wait_all(requests)
    assert all(seen.json["data"] == body.decode() for seen in receiver.got(3))
    for request in requests[:2]:
        assert pipeline.call("DELETE", f"/requests/{request}").status == 204
    assert pipeline.data(requests[2]) == body
    assert pipeline.call("DELETE", f"/requests/{requests[2]}").status == 204
    assert not pipeline.redis.call("KEYS", "*:b:*")


def test_latest_waits_for_the_current_one(launch, provider, receiver, gate):
    pipeline = launch()
    provider.answers(Answer(hold=gate), 200)
    current = ask(pipeline, provider, receiver, "latest").json["requestId"]
    provider.holds(1)
    held = ask(pipeline, provider, receiver, "latest").json["requestId"]
    assert pipeline.record(held)["waiting"]["reason"] == "joined"
    newest = ask(pipeline, provider, receiver, "latest").json["requestId"]
    record = pipeline.wait(held, "cancelled")
    assert record["error"]["code"] == "superseded"
    assert len(provider.requests) == 1
    gate.open()
    pipeline.wait_all([current, newest])
    assert [seen.id for seen in receiver.requests] == [current, newest] and len(provider.requests) == 2


@pytest.mark.parametrize("call", ["cancel", "delete"])
def test_the_latest_starts_however_the_current_one_ends(launch, provider, receiver, gate, call):
    pipeline = launch()
    provider.answers(Answer(hold=gate), 200)
    current = ask(pipeline, provider, receiver, "latest").json["requestId"]
    provider.holds(1)
    held = ask(pipeline, provider, receiver, "latest").json["requestId"]
    if call == "delete":
        reply = pipeline.call("DELETE", f"/requests/{current}")
        assert reply.status == 204 or (reply.status == 202 and reply.json["cancelling"] is True), reply
    else:
        assert pipeline.alter(current, "cancel").status == 200
    pipeline.wait(held, "delivered")
    patience.until(lambda: not provider.busy, "the fetch of the one that went to be cut")
    gate.open()


def at_once(pipelines, provider, receiver, mode, count=40):
    """So many, each by a client of its own, through these apis in turn: what they were answered."""
    together, answers = threading.Barrier(count), []

    def send(pipeline):
        together.wait()
        answers.append(ask(pipeline, provider, receiver, mode))

    runners = [threading.Thread(target=send, args=(pipelines[i % len(pipelines)],)) for i in range(count)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert [answer.status for answer in answers] == [202] * count
    return [answer.json for answer in answers]


@pytest.fixture
def two_apis(launch):
    first = launch()
    return first, launch(redis=first.redis, consumers=0, responders=0)


def test_one_is_the_first_through_two_apis(two_apis, provider, receiver):
    answers = at_once(two_apis, provider, receiver, "drop")
    assert len({answer["requestId"] for answer in answers}) == 1
    assert sum("deduplicated" not in answer for answer in answers) == 1
    two_apis[0].wait(answers[0]["requestId"], "delivered")
    assert len(provider.requests) == len(receiver.requests) == 1


def test_one_fetch_for_all_who_joined_through_two_apis(two_apis, provider, receiver, gate):
    provider.answers(Answer(hold=gate))
    ids = {answer["requestId"] for answer in at_once(two_apis, provider, receiver, "join")}
    provider.holds(1)
    gate.open()
    for request in ids:
        two_apis[1].wait(request, "delivered")
    assert len(ids) == 40 and {seen.id for seen in receiver.requests} == ids
    assert (len(provider.requests), len(receiver.requests)) == (1, 40)


def test_only_the_latest_through_two_apis(two_apis, provider, receiver, gate):
    provider.answers(Answer(hold=gate), 200)
    ids = {answer["requestId"] for answer in at_once(two_apis, provider, receiver, "latest")}
    provider.holds(1)
    ended = {request for request in ids if two_apis[1].state(request) == "cancelled"}
    assert len(ids) == 40 and len(ended) == 38, "one goes on, one waits, and none is both"
    gate.open()
    for request in ids - ended:
        two_apis[0].wait(request, "delivered")
    assert {seen.id for seen in receiver.requests} == ids - ended and len(provider.requests) == 2
