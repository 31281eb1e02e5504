"""Two URLs in, an id out, and the callback arrives: the oldest promise."""
import hashlib
import time
import uuid

import pytest

from peers.web import Answer

REPORT = b'{ "report" : 7, "total": 1.10, "total": 2e400 }'


def test_two_urls_in_and_the_callback_arrives(pipeline, provider, receiver):
    provider.answers(Answer(body=REPORT, type="application/json; charset=utf-8"))
    request = pipeline.post(provider.url("/report"), receiver.url("/hook"))
    (delivery,) = receiver.got(1)
    assert delivery.method == "POST" and delivery.path == "/hook"
    assert delivery.body == b'{"requestId":"%s","data":%s}' % (request.encode(), REPORT)
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["webhook-id"] == request
    assert abs(int(delivery.headers["webhook-timestamp"]) - time.time()) < 60
    assert delivery.headers["webhook-attempt"] == "1"
    assert delivery.headers["fetchback-status"] == "200"
    assert delivery.headers["fetchback-content-type"] == "application/json; charset=utf-8"
    pipeline.wait(request, "delivered")
    assert len(provider.requests) == len(receiver.requests) == 1


@pytest.mark.parametrize("path", ["/", "/requests"])
def test_both_doors_answer_202_with_an_id_and_its_place(pipeline, provider, receiver, path):
    reply = pipeline.call("POST", path, {"provider": provider.url(), "callbackUrl": receiver.url()})
    request = reply.json["requestId"]
    assert reply.status == 202 and reply.json == {"requestId": request}
    assert reply.headers["Location"] == f"/requests/{request}"
    assert reply.headers["Content-Type"] == "application/json"
    assert str(uuid.UUID(request)) == request and uuid.UUID(request).version == 7
    pipeline.wait(request, "delivered")


def test_the_provider_is_asked_plainly(pipeline, provider, receiver):
    request = pipeline.post(provider.url("/a?b=c&d=%20e#fragment"), receiver.url())
    pipeline.wait(request, "delivered")
    (asked,) = provider.requests
    assert (asked.method, asked.path, asked.query, asked.body) == ("GET", "/a", "b=c&d=%20e", b"")
    assert asked.headers["host"] == f"127.0.0.1:{provider.port}"
    assert asked.headers["user-agent"].startswith("Fetchback/")
    assert "expect" not in receiver.requests[0].headers


def test_connections_are_kept(pipeline, provider, receiver):
    for _ in range(5):
        pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert provider.opened < 5 and receiver.opened < 5


def test_the_data_stays_for_reading(pipeline, provider, receiver):
    provider.answers(Answer(body=REPORT))
    request = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(request, "delivered")
    reply = pipeline.get(f"/requests/{request}/data")
    assert reply.body == REPORT and reply.headers["Content-Type"] == "application/json"
    assert record["data"]["bytes"] == len(REPORT)
    assert record["data"]["sha256"] == hashlib.sha256(REPORT).hexdigest()


def test_the_newer_protocol_works_as_well(pipeline, peer):
    host = peer("host on IPv6", address="::1")
    pipeline.wait(pipeline.post(host.url("/p"), host.url("/c")), "delivered")
    assert [seen.method for seen in host.requests] == ["GET", "POST"]
    assert host.requests[0].headers["host"] == f"[::1]:{host.port}"


def test_one_receiver_gets_many_requests_each_once(pipeline, provider, receiver):
    provider.answers(lambda seen: {"path": seen.path})
    requests = {pipeline.post(provider.url(f"/{i}"), receiver.url()): f"/{i}" for i in range(50)}
    pipeline.wait_all(requests)
    assert {seen.id: seen.json["data"]["path"] for seen in receiver.got(50)} == requests
    assert len(receiver.requests) == 50
