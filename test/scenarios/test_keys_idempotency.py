"""Idempotency-Key: one request for one key, however often, wherever and at once it is sent."""
import json
import socket
import threading

import pytest

from peers import patience
from peers.web import Answer, Gate


def send(pipeline, provider, receiver, key, **more):
    body = {"provider": provider.url(), "callbackUrl": receiver.url(), **more}
    return pipeline.call("POST", "/", body, headers={"Idempotency-Key": key})


def test_the_first_answer_and_its_current_state(pipeline, provider, receiver):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    first = send(pipeline, provider, receiver, "k1")
    request = first.json["requestId"]
    assert first.status == 202 and first.json == {"requestId": request}
    provider.holds(1)
    again = send(pipeline, provider, receiver, "k1")
    assert again.status == 202 and again.headers["Location"] == f"/requests/{request}"
    assert again.json == {"requestId": request, "state": "fetching", "deduplicated": True}
    gate.open()
    pipeline.wait(request, "delivered")
    assert send(pipeline, provider, receiver, "k1").json["state"] == "delivered"
    assert len(provider.requests) == len(receiver.requests) == 1


def test_another_body_under_the_key_is_refused(pipeline, provider, receiver):
    first = send(pipeline, provider, receiver, "k2")
    other = send(pipeline, provider, receiver, "k2", labels=["a"])
    assert first.status == 202 and other.status == 422 and "key" in other.json["detail"]
    pipeline.wait(first.json["requestId"], "delivered")


@pytest.mark.parametrize("second", ["k3", "k4", ""])
def test_two_keys_are_refused(pipeline, provider, receiver, second):
    """Whichever was taken, the client may have meant the other."""
    with socket.create_connection(("127.0.0.1", pipeline.port), patience.bound(10)) as wire:
        body = json.dumps({"provider": provider.url(), "callbackUrl": receiver.url()})
        head = ["POST / HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        wire.sendall("\r\n".join([*head, "Idempotency-Key: k3", f"idempotency-key: {second}", "", body]).encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in answer and b"one Idempotency-Key" in answer


def test_fifty_at_once_through_two_apis(launch, provider, receiver):
    first = launch()
    second = launch(redis=first.redis, consumers=0, responders=0)
    gate = threading.Barrier(50)
    answers = []

    def post(pipeline):
        gate.wait()
        answers.append(send(pipeline, provider, receiver, "the same"))

    runners = [threading.Thread(target=post, args=((first, second)[i % 2],)) for i in range(50)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert [answer.status for answer in answers] == [202] * 50
    assert len({answer.json["requestId"] for answer in answers}) == 1
    assert sum("deduplicated" not in answer.json for answer in answers) == 1
    first.wait(answers[0].json["requestId"], "delivered")
    assert len(provider.requests) == len(receiver.requests) == 1


def test_a_key_stands_for_24_hours(launch, provider, receiver):
    pipeline, day = launch(TIME_SCALE=1), 24 * 3600 * 1000
    first = send(pipeline, provider, receiver, "k").json["requestId"]
    assert send(pipeline, provider, receiver, "k").json["requestId"] == first
    (key,) = [key for key in pipeline.redis.call("KEYS", "*:k:i:*")]
    assert day - 60000 < pipeline.redis.call("PTTL", key) <= day
    pipeline.wait(first, "delivered")


def test_a_full_backlog_does_not_forget_the_key(launch, provider, receiver):
    pipeline = launch(consumers=0, QUEUE_MAX=1)
    first = send(pipeline, provider, receiver, "k")
    assert first.status == 202 and send(pipeline, provider, receiver, "other").status == 503
    again = send(pipeline, provider, receiver, "k")
    assert again.status == 202 and again.json["requestId"] == first.json["requestId"]


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_that_is_none(pipeline, provider, receiver, key):
    assert send(pipeline, provider, receiver, key).status == 422


def test_a_key_and_a_dedupe_key_exclude_each_other(pipeline, provider, receiver):
    reply = send(pipeline, provider, receiver, "k3", dedupeKey="k")
    assert reply.status == 422 and "dedupeKey" in reply.json["detail"]


def test_a_batch_takes_no_key(pipeline):
    reply = pipeline.call("POST", "/requests/batch", {"items": []}, headers={"Idempotency-Key": "k"})
    assert reply.status == 422
