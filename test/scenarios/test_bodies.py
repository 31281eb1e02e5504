"""Whatever a provider says reaches the callback: unchanged, or in a form that loses nothing."""
import base64
import hashlib
import gzip
import json
import time
import urllib.parse
from itertools import repeat

import pytest

from peers.pipeline import sanitized
from peers.web import Answer, Gate

KIB, MIB = 1024, 1024 * 1024
JSON, TEXT, BINARY = "application/json", "text/plain", "application/octet-stream"


def nested(depth):
    return b"[" * depth + b"]" * depth


UNCHANGED = {  # JSON that arrives byte for byte
    "object": (b'{"a":1}', JSON),
    "white space": (b' \r\n\t{ "a" : [ 1 , 2 ] }\n ', JSON),
    "number as written": (b"-0.10E+0400", JSON),
    "a digit too many": (b"123456789012345678901234567890.12345678901234567890", JSON),
    "equal keys": (b'{"a":1,"a":2}', JSON),
    "escapes as written": (b'"\\u0041\\/\\ud83d\\ude00"', JSON),
    "half a surrogate": (b'"\\ud800"', JSON),
    "an escaped NUL": (b'"\\u0000"', JSON),
    "beyond ASCII": ('"häß 😀 \u2028 \x7f"'.encode(), JSON),
    "string": (b'"text"', JSON),
    "null": (b"null", JSON),
    "true": (b"true", JSON),
    "empty object": (b"{}", JSON),
    "512 deep": (nested(512), JSON),
    "+json": (b'{"title":"x"}', "application/problem+json"),
    "with parameters": (b'{"a":1}', 'Application/JSON; charset="utf-8"'),
    "no type": (b'{"a":1}', None),
}
AS_TEXT = {  # valid UTF-8 that is no JSON, or is not said to be
    "text": (b'say "hi"\n', TEXT),
    "JSON said to be text": (b'{"a":1}', TEXT),
    "said to be JSON": (b"{oops}", JSON),
    "JSON and more": (b'{"a":1} x', JSON),
    "cut JSON": (b'{"a":', JSON),
    "NaN": (b"[NaN]", JSON),
    "a leading zero": (b"01", JSON),
    "a raw newline in a string": (b'"a\nb"', JSON),
    "white space only": (b"  \n", JSON),
    "BOM": (b'\xef\xbb\xbf{"a":1}', JSON),
    "513 deep": (nested(513), JSON),
    "every control character": (bytes(range(1, 32)) + b"\x7f", TEXT),
    "line separators": ("\u2028\u2029\ufeff\uffff😀".encode(), TEXT),
    "csv": (b"a,b\r\n1,2\r\n", "text/csv; charset=utf-8"),
    "text said to be binary": (b"plain", BINARY),
    "no type": (b"hello", None),
}
AS_BINARY = {
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "image/png"),
    "every byte": (bytes(range(256)), BINARY),
    "a NUL in text": (b"a\0b", TEXT),
    "latin-1": ("häß".encode("latin-1"), "text/plain; charset=iso-8859-1"),
    "overlong": (b"\xc0\xaf", TEXT),
    "a surrogate in UTF-8": (b"\xed\xa0\x80", TEXT),
    "beyond Unicode": (b"\xf4\x90\x80\x80", TEXT),
    "cut in a character": (b"abc\xe2\x82", TEXT),
    "UTF-16": ("text".encode("utf-16"), "text/plain; charset=utf-16"),
    "bad UTF-8 said to be JSON": (b'"\xff"', JSON),
}


def carried(pipeline, provider, receiver, answer):
    """The one delivery of what the provider answers."""
    provider.answers(answer)
    request = pipeline.post(provider.url(), receiver.url())
    (delivery,) = receiver.got(1)
    pipeline.wait(request, "delivered")
    assert delivery.id == request
    return delivery


@pytest.mark.parametrize("body, kind", UNCHANGED.values(), ids=UNCHANGED)
def test_json_arrives_unchanged_to_the_byte(pipeline, provider, receiver, body, kind):
    delivery = carried(pipeline, provider, receiver, Answer(body=body, type=kind))
    request = pipeline.record(delivery.headers["webhook-id"])["requestId"]
    assert delivery.body == b'{"requestId":"%s","data":%s}' % (request.encode(), body)
    assert pipeline.data(request) == body


@pytest.mark.parametrize("body, kind", AS_TEXT.values(), ids=AS_TEXT)
def test_text_arrives_as_a_string(pipeline, provider, receiver, body, kind):
    delivery = carried(pipeline, provider, receiver, Answer(body=body, type=kind))
    assert delivery.json == {"requestId": delivery.id, "data": body.decode()}
    assert pipeline.data(delivery.id) == body


@pytest.mark.parametrize("body, kind", AS_BINARY.values(), ids=AS_BINARY)
def test_other_bytes_arrive_as_base64(pipeline, provider, receiver, body, kind):
    delivery = carried(pipeline, provider, receiver, Answer(body=body, type=kind))
    assert set(delivery.json) == {"requestId", "dataBase64"}
    assert base64.b64decode(delivery.json["dataBase64"], validate=True) == body
    assert pipeline.data(delivery.id) == body


EMPTY = {
    "no bytes": Answer(body=b""),
    "204": Answer(204),
    "no chunks": Answer(body=b"", framing="chunked"),
    "closed": Answer(body=b"", framing="close", type=None),
}


@pytest.mark.parametrize("answer", EMPTY.values(), ids=EMPTY)
def test_an_empty_body_is_null(pipeline, provider, receiver, answer):
    delivery = carried(pipeline, provider, receiver, answer)
    assert delivery.body == b'{"requestId":"%s","data":null}' % delivery.id.encode()
    assert pipeline.data(delivery.id) == b""


EDGES = [1, *(edge + by for edge in (16 * KIB, 256 * KIB) for by in (-1, 0, 1)), MIB - 1, MIB]


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_sizes_up_to_a_mebibyte_travel_in_the_callback(pipeline, provider, receiver, size, framing):
    body = (b"7" * size) if size < 3 else b'"' + b"x" * (size - 2) + b'"'
    delivery = carried(pipeline, provider, receiver, Answer(body=body, framing=framing))
    assert delivery.body == b'{"requestId":"%s","data":%s}' % (delivery.id.encode(), body)
    assert pipeline.record(delivery.id)["data"]["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [16 * KIB, MIB])
def test_text_and_bytes_of_some_size_lose_nothing(pipeline, provider, receiver, size):
    text = ("zeile ä\n" * size).encode()[:size]
    binary = bytes(range(256)) * (size // 256)
    provider.answers(Answer(body=text, type=TEXT), Answer(body=binary, type=BINARY))
    first, second = (pipeline.post(provider.url(f"/{i}"), receiver.url()) for i in range(2))
    pipeline.wait_all([first, second])
    for delivery in receiver.got(2):
        said = delivery.json
        if "data" in said:
            assert said["data"].encode() == text
        else:
            assert base64.b64decode(said["dataBase64"]) == binary


@pytest.mark.parametrize("size", [MIB + 1, 3 * MIB, 8 * MIB])
@pytest.mark.parametrize("kind", [JSON, BINARY])
def test_above_a_mebibyte_the_callback_says_where_it_is(pipeline, provider, receiver, size, kind):
    body = b'"' + b"x" * (size - 2) + b'"'
    delivery = carried(pipeline, provider, receiver, Answer(body=body, type=kind))
    said = delivery.json
    assert set(said) == {"requestId", "dataUrl", "bytes", "sha256"}
    assert said["bytes"] == size and said["sha256"] == hashlib.sha256(body).hexdigest()
    url = urllib.parse.urlsplit(said["dataUrl"])
    assert said["dataUrl"].startswith(f"{pipeline.url}/requests/{delivery.id}/data?expires=")
    fetched = pipeline.get(f"{url.path}?{url.query}")
    assert fetched.status == 200 and fetched.body == body
    assert fetched.headers["Content-Type"] == kind


@pytest.mark.parametrize(
    "data, record, seconds",
    [
        (None, None, 72 * 3600),
        ("2h", None, 2 * 3600),
        ("30d", "30d", 30 * 86400),
        ("30d", "5d", 5 * 86400),  # data goes with its record
    ],
)
def test_a_data_url_is_good_for_as_long_as_data_is_kept(launch, provider, receiver, data, record, seconds):
    pipeline = launch(TIME_SCALE=1, RETENTION_DATA=data, RETENTION_RECORD=record)
    before = time.time()
    delivery = carried(pipeline, provider, receiver, Answer(body=b"x" * (MIB + 1), type=BINARY))
    url = urllib.parse.urlsplit(delivery.json["dataUrl"])
    expires = int(dict(urllib.parse.parse_qsl(url.query))["expires"])
    assert before + seconds <= expires <= time.time() + seconds + 1


def test_a_data_url_that_was_touched_is_refused(pipeline, provider, receiver):
    delivery = carried(pipeline, provider, receiver, Answer(body=b"x" * (MIB + 1), type=BINARY))
    url = urllib.parse.urlsplit(delivery.json["dataUrl"])
    query = dict(urllib.parse.parse_qsl(url.query))
    later = str(int(query["expires"]) + 1)
    other = "0" if query["signature"][0] != "0" else "1"
    forged = other + query["signature"][1:]
    changes = [{"expires": later}, {"expires": "0"}, {"signature": forged}, {"signature": ""}]
    for change in changes:
        reply = pipeline.get(f"{url.path}?{urllib.parse.urlencode({**query, **change})}")
        assert reply.status in (401, 403), (change, reply)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"x" * (8 * MIB + 1)),
        Answer(body=b"x" * (8 * MIB + 1), framing="chunked"),
        Answer(body=b"", length=9 * MIB),
        Answer(body=b"\0" * (100 * MIB), gzip=True),
    ],
    ids=["length", "chunked", "only announced", "gzip bomb"],
)
def test_above_data_max_it_is_too_large_at_once(pipeline, provider, receiver, answer):
    provider.answers(answer)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "too_large"
    assert len(provider.requests) == 1 and not receiver.requests


def test_an_endless_body_is_read_to_the_ceiling_only(pipeline, provider, receiver):
    provider.answers(lambda seen: Answer(body=repeat(b"x" * 65536, 160_000), framing="chunked"))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "too_large" and provider.bytes_written < 64 * MIB


@pytest.mark.parametrize("size", [100, 100 * KIB, 2 * MIB])
def test_gzip_is_unpacked(pipeline, provider, receiver, size):
    body = json.dumps("ab" * (size // 2)).encode()
    delivery = carried(pipeline, provider, receiver, Answer(body=body, gzip=True))
    assert "gzip" in provider.requests[0].headers["accept-encoding"]
    assert pipeline.data(delivery.id) == body


def test_gzip_that_is_none_is_an_attempt_gone_wrong(pipeline, provider, receiver):
    false = Answer(body=b"not gzip at all", headers={"Content-Encoding": "gzip"})
    provider.answers(false, {"fine": 1})
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert receiver.requests[0].json["data"] == {"fine": 1}


PACKED = gzip.compress(json.dumps({"v": ["x%d" % i for i in range(20_000)]}).encode())
NOT_WHOLE = {
    "half": PACKED[: len(PACKED) // 2], "no trailer": PACKED[:-8], "no last byte": PACKED[:-1], "empty": b"",
    "half a second member": PACKED + PACKED[:1000], "something behind": PACKED + b"garbage",
}


@pytest.mark.parametrize("said", NOT_WHOLE.values(), ids=list(NOT_WHOLE))
def test_a_coded_body_that_is_not_whole_is_never_delivered(pipeline, provider, receiver, said):
    """Its Content-Length is right: whoever cut it had made it anew."""
    coded = {"Content-Encoding": "gzip"}
    provider.answers(Answer(body=said, headers=coded), Answer(body=PACKED, headers=coded))
    request = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(request, "delivered")
    assert [one["error"]["code"] for one in record["attempts"] if "error" in one] == ["truncated"]
    assert len(receiver.requests) == 1
    assert pipeline.data(request) == gzip.decompress(PACKED)


def test_a_coded_body_of_several_members_is_one(pipeline, provider, receiver):
    said = gzip.compress(b'{"a":') + gzip.compress(b"") + gzip.compress(b"1}")
    delivery = carried(pipeline, provider, receiver, Answer(body=said, headers={"Content-Encoding": "gzip"}))
    assert delivery.json["data"] == {"a": 1} and len(provider.requests) == 1


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, br", "wonders"])
def test_a_coding_nobody_asked_for_is_not_delivered_as_data(pipeline, provider, receiver, coding):
    provider.answers(Answer(body=b"squeezed", headers={"Content-Encoding": coding}))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url(), fetch={"retries": 0}), "failed")
    assert record["error"] == {
        "code": "truncated", "message": "the answer has a content coding that was not asked for",
    }
    assert not receiver.requests


def test_a_coding_the_client_asked_for_is_given_as_it_came(pipeline, provider, receiver):
    provider.answers(Answer(body=b"\xffsqueezed", headers={"Content-Encoding": "br"}))
    request = pipeline.post(provider.url(), receiver.url(), fetch={"headers": {"Accept-Encoding": "br"}})
    pipeline.wait(request, "delivered")
    assert provider.requests[0].headers["accept-encoding"] == "br"
    assert pipeline.data(request) == b"\xffsqueezed"


def test_the_coding_of_an_error_or_of_a_receivers_answer_does_not_count(pipeline, provider, receiver):
    coded = {"Content-Encoding": "gzip"}
    receiver.answers(Answer(body=b"no gzip", headers=coded))
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    assert len(receiver.requests) == 1 and "accept-encoding" not in receiver.requests[0].headers
    provider.answers(Answer(404, body=b"no gzip", headers=coded))
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "http_status" and len(record["attempts"]) == 1


def test_a_body_that_ends_by_close_is_taken_and_the_log_says_so(pipeline, provider, receiver):
    delivery = carried(pipeline, provider, receiver, Answer(body=b'{"a":1}', framing="close"))
    fetched = next(event for event in pipeline.logs(delivery.id) if event["event"] == "fetched")
    assert "clos" in fetched.get("reason", ""), fetched


def test_bodies_in_small_pieces_are_put_together(pipeline, provider, receiver):
    body = json.dumps({"text": "häß" * 50}, ensure_ascii=False).encode()
    for framing in ("length", "chunked"):
        provider.answers(Answer(body=body, framing=framing, drip=(1, 0.0005)))
        request = pipeline.post(provider.url(), receiver.url())
        pipeline.wait(request, "delivered")
        assert pipeline.data(request) == body


@pytest.mark.long
def test_many_large_bodies_at_once_stay_within_memory(launch, provider, receiver):
    pipeline = launch(BODY_MEMORY="64MiB")
    body = b"x" * (4 * MIB)
    provider.answers(Answer(body=body, type=BINARY))
    requests = [pipeline.post(provider.url(f"/{i}"), receiver.url()) for i in range(40)]
    pipeline.wait_all(requests, timeout=60)
    assert len(receiver.requests) == 40
    if not sanitized():
        assert pipeline.consumer.peak_bytes < 120 * MIB, pipeline.consumer.peak_bytes
        assert pipeline.responder.peak_bytes < 120 * MIB, pipeline.responder.peak_bytes


GROWING = b"\x01" * MIB  # text that becomes six times as long in JSON
GROWN = 6 * MIB


def test_text_that_grows_stays_within_memory(launch, provider, receiver):
    pipeline = launch(only={"responder": {"BODY_MEMORY": "32MiB"}})
    gate = Gate()
    grows = provider.serves("/grows", Answer(body=GROWING, type=TEXT))
    held = receiver.serves("/held", Answer(hold=gate))
    warm = [pipeline.post(provider.url(), receiver.url()) for _ in range(16)]  # a slot each
    pipeline.wait_all(warm)
    requests = [pipeline.post(grows, held) for _ in range(12)]
    receiver.holds(4)
    gate.open()
    pipeline.wait_all(requests, timeout=60)
    assert receiver.busiest <= 32 * MIB // GROWN
    assert all(seen.json["data"] == GROWING.decode() for seen in receiver.at("/held"))
    if not sanitized():
        assert pipeline.responder.peak_bytes < 64 * MIB, pipeline.responder.peak_bytes


def test_text_that_grows_beyond_all_memory_goes_alone(launch, provider, receiver):
    pipeline = launch(only={"responder": {"BODY_MEMORY": "1MiB"}})
    provider.answers(Answer(body=GROWING, type=TEXT), Answer(body=b"small", type=TEXT))
    requests = [pipeline.post(provider.url(f"/{i}"), receiver.url()) for i in range(3)]
    pipeline.wait_all(requests)
    assert sorted(len(seen.json["data"]) for seen in receiver.requests) == [5, 5, MIB]
