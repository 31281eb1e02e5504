"""What a status means: done, try again, or the end; at either stage."""
from itertools import repeat

import pytest

from peers.web import Answer

FETCHED = [200, 201, 202, 203, 206, 226, 299]
FETCH_AGAIN = [408, 425, 429, 500, 501, 502, 503, 504, 507, 599]
FETCH_OVER = [400, 401, 403, 404, 405, 409, 410, 418, 422, 451, 499, 600, 999]
DELIVERED = [200, 201, 202, 204, 299]
DELIVER_AGAIN = [
    300, 304, 400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 599, 600,
    999,
]


@pytest.mark.parametrize("status", FETCHED)
def test_a_fetch_is_done(pipeline, provider, receiver, status):
    provider.answers(Answer(status))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert receiver.requests[0].headers["fetchback-status"] == str(status)
    assert record["attempts"][0]["status"] == status and len(provider.requests) == 1


@pytest.mark.parametrize("status", FETCH_AGAIN)
def test_a_fetch_is_tried_again(pipeline, provider, receiver, status):
    provider.answers(Answer(status), 200)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(provider.requests) == 2 and record["attempts"][0]["status"] == status


@pytest.mark.parametrize("status", FETCH_OVER)
def test_a_fetch_is_over(pipeline, provider, receiver, status):
    provider.answers(Answer(status, body=b"why not"))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "http_status" and str(status) in record["error"]["message"]
    assert len(provider.requests) == 1 and not receiver.requests


@pytest.mark.parametrize("status", DELIVERED)
def test_a_delivery_is_done(pipeline, provider, receiver, status):
    receiver.answers(Answer(status))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(receiver.requests) == 1 and record["attempts"][-1]["status"] == status


@pytest.mark.parametrize("status", DELIVER_AGAIN)
def test_a_delivery_is_tried_again(pipeline, provider, receiver, status):
    receiver.answers(Answer(status), 200)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(receiver.requests) == 2 and record["attempts"][1]["status"] == status


def test_410_ends_a_delivery(pipeline, provider, receiver):
    receiver.answers(410)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert len(receiver.requests) == 1
    assert record["error"]["code"] == "http_status" and record["attempts"][-1]["status"] == 410


def test_interim_answers_are_passed_over(pipeline, provider, receiver):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    provider.answers(Answer(raw=early * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    receiver.answers(Answer(raw=b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(provider.requests) == len(receiver.requests) == 1


def test_a_receivers_endless_answer_is_not_read(pipeline, provider, receiver):
    receiver.answers(lambda seen: Answer(body=repeat(b"x" * 65536, 160_000), framing="chunked"))
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(receiver.requests) == 1 and receiver.bytes_written < 32 << 20


def test_headers_without_end_are_read_to_their_ceiling(pipeline, provider, receiver):
    flood = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %01000d\r\n" % (i, 0) for i in range(2000))
    provider.answers(Answer(raw=flood), path="/flood")
    record = pipeline.wait(pipeline.post(provider.url("/flood"), receiver.url()), "failed")
    assert record["error"]["code"] == "too_large"
    receiver.answers(Answer(raw=flood), 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(receiver.requests) == 2
