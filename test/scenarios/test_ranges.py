"""`GET /requests/{id}/data` in parts: RFC 9110's ranges, for data in the record and in chunks."""
import hashlib
import random

import pytest

from peers.web import Answer

SMALL = b'{"letters":"abcdefghijklmnopqrstuvwxyz"}'
LARGE = random.Random(7).randbytes(1_500_000)


@pytest.fixture(params=["in the record", "in chunks"])
def stored(request, pipeline, provider, receiver):
    """(path of the data, its bytes)"""
    body = SMALL if request.param == "in the record" else LARGE
    provider.answers(Answer(body=body, type="application/octet-stream"))
    accepted = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(accepted, "delivered")
    return f"/requests/{accepted}/data", body


def ask(pipeline, path, method="GET", **headers):
    return pipeline.call(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_whole_says_that_parts_can_be_had(pipeline, stored):
    path, body = stored
    reply = ask(pipeline, path)
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'


@pytest.mark.parametrize("wanted, first, last", [
    ("0-0", 0, 0), ("0-", 0, -1), ("5-9", 5, 9), ("-1", -1, -1), ("-7", -7, -1), ("30-99999999", 30, -1), ("-99999999", 0, -1),
])
def test_a_part(pipeline, stored, wanted, first, last):
    path, body = stored
    first, last = first % len(body), last % len(body)
    reply = ask(pipeline, path, Range=f"bytes={wanted}")
    assert (reply.status, reply.body) == (206, body[first : last + 1])
    assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
    assert reply.headers["Content-Length"] == str(last + 1 - first)


def test_parts_that_cross_chunks_make_the_whole(pipeline, provider, receiver):
    provider.answers(Answer(body=LARGE, type="application/octet-stream"))
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    step, whole = 190_001, b""
    for at in range(0, len(LARGE), step):
        reply = ask(pipeline, f"/requests/{request}/data", Range=f"bytes={at}-{at + step - 1}")
        assert reply.status == 206
        whole += reply.body
    assert whole == LARGE


def test_beyond_the_end(pipeline, stored):
    path, body = stored
    reply = ask(pipeline, path, Range=f"bytes={len(body)}-")
    assert reply.status == 416 and reply.headers["Content-Range"] == f"bytes */{len(body)}"
    assert reply.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("wanted", ["bytes=9-5", "bytes=0-1,4-5", "items=0-1", "bytes=x", "nonsense"])
def test_what_is_no_single_range_gets_the_whole(pipeline, stored, wanted):
    path, body = stored
    reply = ask(pipeline, path, Range=wanted)
    assert (reply.status, reply.body) == (200, body) and "Content-Range" not in reply.headers


def test_a_part_of_what_is_still_the_same(pipeline, stored):
    path, body = stored
    etag = ask(pipeline, path).headers["ETag"]
    assert ask(pipeline, path, Range="bytes=1-2", If_Range=etag).body == body[1:3]
    for other in ('"other"', f"W/{etag}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        reply = ask(pipeline, path, Range="bytes=1-2", If_Range=other)
        assert (reply.status, reply.body) == (200, body), "it has changed: all of it"


def test_what_is_known_is_not_sent_again(pipeline, stored):
    path, body = stored
    etag = ask(pipeline, path).headers["ETag"]
    reply = ask(pipeline, path, If_None_Match=f'"x", {etag}')
    assert (reply.status, reply.body, reply.headers["ETag"]) == (304, b"", etag)
    assert ask(pipeline, path, If_None_Match='"x"').body == body
    assert ask(pipeline, path, If_Match='"x"').status == 412


def test_head_tells_of_the_whole(pipeline, stored):
    path, body = stored
    reply = ask(pipeline, path, method="HEAD", Range="bytes=1-2")
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", str(len(body)))


def test_no_data_has_no_parts(pipeline, provider, receiver):
    provider.answers(Answer(body=b""))
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert ask(pipeline, f"/requests/{request}/data", Range="bytes=0-").status == 416
    assert ask(pipeline, f"/requests/{request}/data", Range="bytes=-1").status == 200


def test_a_part_by_its_signed_link(pipeline, provider, receiver):
    provider.answers(Answer(body=LARGE, type="application/octet-stream"))
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    path = receiver.got(1)[0].json["dataUrl"].removeprefix(pipeline.url)
    reply = ask(pipeline, path, Range="bytes=1000000-1000009")
    assert (reply.status, reply.body) == (206, LARGE[1000000:1000010])
