"""A download that is paused in its middle goes on where it was cut, and is whole in the end."""
import email.utils
import hashlib
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from peers import patience
from peers.web import Answer, Gate

KIB, MIB = 1 << 10, 1 << 20
SIZE = 100 * MIB
HALF = SIZE // 2


def piece(number):
    return hashlib.sha256(number.to_bytes(4, "big")).digest() * (MIB // 32)


def whole():
    digest = hashlib.sha256()
    for number in range(SIZE // MIB):
        digest.update(piece(number))
    return digest.hexdigest()


class Slow(BaseHTTPRequestHandler):
    """Sends the first half, then waits until the test has paused; goes on from any byte if asked to."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        peer = self.server
        asked = self.headers.get("Range")
        peer.asked.append(asked)
        start = 0
        if asked and peer.resumes and self.headers.get("If-Range") == '"whole"':
            start = int(re.match(r"bytes=(\d+)-$", asked).group(1))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")
        else:
            self.send_response(200)
        self.send_header("ETag", '"whole"' if peer.resumes else 'W/"weak"')
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(SIZE - start))
        self.end_headers()
        try:
            self.tell(start, len(peer.asked) == 1)
        except OSError:
            self.close_connection = True  # cut, as a pause does

    def tell(self, start, first):
        at = start
        while at < SIZE:
            if first and at >= HALF:
                self.server.halfway.set()
                self.server.paused.wait(60)
            data = piece(at // MIB)[at % MIB:]
            self.wfile.write(data)
            at += len(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def slow(cast):
    servers = []

    def start(resumes):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        server.daemon_threads = True
        server.asked, server.resumes = [], resumes
        server.halfway, server.paused = threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.paused.set()
        server.shutdown()
        server.server_close()


@pytest.mark.long
@pytest.mark.parametrize("resumes", [True, False], ids=["by range", "from the beginning"])
def test_a_paused_download_is_whole_in_the_end(launch, receiver, slow, resumes):
    pipeline, provider = launch(DATA_MAX="128MiB"), slow(resumes)
    request = pipeline.post(f"http://127.0.0.1:{provider.server_address[1]}/file", receiver.url())
    assert provider.halfway.wait(60)
    assert pipeline.alter(request, "pause").status == 200
    provider.paused.set()
    assert pipeline.record(request)["attempts"] == [], "a cut fetch is no attempt"
    assert pipeline.call("POST", f"/requests/{request}/resume").status == 200
    record = pipeline.wait(request, "delivered", timeout=120)
    assert record["data"]["bytes"] == SIZE and record["data"]["sha256"] == whole()
    fetched = [event for event in pipeline.logs(request) if event["event"] == "fetched"][-1]
    if resumes:
        start = int(re.fullmatch(r"bytes=(\d+)-", provider.asked[1]).group(1))
        assert 0 < start < SIZE
        assert fetched["reason"] == f"resumed at byte {start}"
    else:
        assert provider.asked[1] is None, "a weak validator is none to go on from"
        assert "resumed" not in fetched["reason"]


# 900 KiB of digits: JSON, if nobody says that they are something else. DATA_MAX is 1 MiB here.
DIGITS = "".join(random.Random(5).choices("123456789", k=900 * KIB)).encode()
OTHERS = DIGITS[::-1]


def first(**headers):
    """The answer that gets cut: two thirds of it come."""
    said = headers or {"ETag": '"first"'}
    return Answer(body=DIGITS[: 600 * KIB], length=len(DIGITS), type="text/csv", headers=said)


def start_of(seen):
    return int(re.fullmatch(r"bytes=(\d+)-", seen.headers["range"]).group(1))


def rest(seen, body=DIGITS, **options):
    """What a provider says that goes on where it is asked to: no more than it must."""
    start = start_of(seen)
    said = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
    return Answer(206, body=body[start:], type=None, headers=said, **options)


def stored(pipeline):
    """How many pieces of bodies there are in Redis."""
    return len(pipeline.redis.call("KEYS", "{f0}:b:*"))


def cut(pipeline, request, pieces=0):
    """Once more pieces than these are stored."""
    patience.until(lambda: stored(pipeline) > pieces, "a piece of the answer to be stored")
    assert pipeline.alter(request, "pause").status == 200
    assert pipeline.call("POST", f"/requests/{request}/resume").status == 200


@pytest.fixture
def resumed(launch, provider, receiver):
    """resumed(answers …): (pipeline, id) of a fetch that was cut, and then met these answers."""

    def start(*later, begins=first(), **more):
        pipeline = launch(DATA_MAX="1MiB")
        provider.answers(begins, *later)
        request = pipeline.post(provider.url(), receiver.url(), **more)
        cut(pipeline, request)
        assert "range" in provider.got(2)[1].headers
        return pipeline, request

    return start


def ended(pipeline, request, name):
    return [event for event in pipeline.logs(request) if event["event"] == name][-1]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_what_has_changed_may_be_as_large_as_any_other(resumed, provider, framing):
    pipeline, request = resumed(Answer(body=OTHERS, headers={"ETag": '"new"'}, framing=framing))
    pipeline.wait(request, "delivered")
    assert pipeline.data(request) == OTHERS and len(provider.requests) == 2
    assert "from the beginning" in ended(pipeline, request, "fetched")["reason"]


@pytest.mark.parametrize("how", ["announced", "chunked"])
def test_what_goes_on_beyond_the_most_is_too_large(resumed, provider, how):
    larger = DIGITS + b"1" * (124 * KIB + 1)

    def answer(seen):
        said = rest(seen, larger, framing="length" if how == "announced" else how)
        if how == "announced":  # and then nothing comes
            said.length, said.body = len(said.body), b""
        return said

    pipeline, request = resumed(answer)
    record = pipeline.wait(request, "failed")
    assert record["error"]["code"] == "too_large" and len(provider.requests) == 2
    assert record["error"]["message"] == "the answer is too large"


def test_what_goes_on_up_to_the_most_is_whole(resumed):
    larger = DIGITS + b"1" * (124 * KIB)
    pipeline, request = resumed(lambda seen: rest(seen, larger))
    assert pipeline.wait(request, "delivered")["data"]["bytes"] == MIB
    assert pipeline.data(request) == larger


@pytest.mark.parametrize(
    "again", [rest, lambda seen: Answer(body=OTHERS)], ids=["going on", "anew"]
)
def test_what_goes_wrong_is_told_before_where_it_began(resumed, again):
    def answer(seen):
        said = again(seen)
        said.cut = 100 * KIB
        return said

    pipeline, request = resumed(answer, fetch={"retries": 0})
    pipeline.wait(request, "failed")
    reason = ended(pipeline, request, "failed")["reason"]
    assert "resumed" not in reason and "beginning" not in reason


def test_the_type_is_what_the_first_answer_said(resumed, receiver):
    pipeline, request = resumed(rest)
    assert pipeline.wait(request, "delivered")["data"]["contentType"] == "text/csv"
    (delivery,) = receiver.got(1)
    assert delivery.headers["fetchback-content-type"] == "text/csv"
    assert delivery.json["data"] == DIGITS.decode(), "digits said to be text are no JSON"


def test_a_type_of_its_own_is_the_newer_one(resumed):
    def answer(seen):
        said = rest(seen)
        said.type = "text/plain"
        return said

    pipeline, request = resumed(answer)
    assert pipeline.wait(request, "delivered")["data"]["contentType"] == "text/plain"


DATED = {
    "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT",
    "Date": "Wed, 21 Oct 2015 08:28:00 GMT",
}


@pytest.mark.parametrize("validator", [{"ETag": '"first"'}, DATED], ids=["ETag", "date"])
def test_a_download_that_is_cut_twice_goes_on_twice(resumed, provider, validator):
    gate = Gate()

    def almost(seen):
        said = rest(seen, hold=gate)
        said.length, said.body = len(said.body), said.body[:-1]
        return said

    pipeline, request = resumed(almost, rest, begins=first(**validator))
    pieces = stored(pipeline)
    gate.open()
    cut(pipeline, request, pieces)
    record = pipeline.wait(request, "delivered")
    assert pipeline.data(request) == DIGITS and record["data"]["contentType"] == "text/csv"
    once, twice = (start_of(seen) for seen in provider.requests[1:])
    assert 0 < once < twice
    asked = {seen.headers["if-range"] for seen in provider.requests[1:]}
    assert asked == {validator.get("ETag") or validator["Last-Modified"]}


@pytest.mark.parametrize("age, goes_on", [(59, False), (60, True)])
def test_a_date_names_the_bytes_a_minute_after_they_changed(launch, provider, receiver, age, goes_on):
    """Two changes within a second have the same date: a younger one is no name to go on by."""
    pipeline = launch(DATA_MAX="1MiB")
    dates = {name: email.utils.formatdate(at, usegmt=True) for name, at in [("Last-Modified", 0), ("Date", age)]}
    provider.answers(first(**dates), rest if goes_on else Answer(body=OTHERS))
    request = pipeline.post(provider.url(), receiver.url())
    cut(pipeline, request)
    pipeline.wait(request, "delivered")
    assert pipeline.data(request) == (DIGITS if goes_on else OTHERS)
    assert provider.requests[1].headers.get("if-range") == (dates["Last-Modified"] if goes_on else None)
    assert ("range" in provider.requests[1].headers) == goes_on


def no_rest(seen):
    return Answer(416, body=b"", headers={"Content-Range": f"bytes */{len(DIGITS)}"})


def beside(seen):
    said = rest(seen)
    start = start_of(seen) - 1
    said.headers["Content-Range"] = f"bytes {start}-{len(DIGITS) - 1}/{len(DIGITS)}"
    said.body = DIGITS[start:]
    return said


def a_part_of_it(seen):
    start = start_of(seen)
    said = {"Content-Range": f"bytes {start}-{start + 9}/{len(DIGITS)}"}
    return Answer(206, body=DIGITS[start : start + 10], headers=said)


def of_something_else(seen):
    said = rest(seen, OTHERS)
    said.headers["ETag"] = '"other"'
    return said


@pytest.mark.parametrize("instead", [no_rest, beside, a_part_of_it, of_something_else])
def test_what_is_not_the_rest_is_asked_for_from_the_beginning(resumed, provider, instead):
    whole = Answer(body=OTHERS, headers={"ETag": '"other"'})
    pipeline, request = resumed(instead, whole, fetch={"retries": 0})
    record = pipeline.wait(request, "delivered")
    assert pipeline.data(request) == OTHERS
    fetches = [one for one in record["attempts"] if one["stage"] == "fetch"]
    assert [one["status"] for one in fetches] == [200], "one attempt"
    cut_off, again = provider.requests[1:]
    assert "range" in cut_off.headers
    assert "range" not in again.headers and "if-range" not in again.headers
    assert "from the beginning" in ended(pipeline, request, "fetched")["reason"]


def test_asking_anew_takes_no_longer_than_one_fetch_may(resumed, provider):
    slow = Answer(416, body=b"x" * 21, drip=(1, 0.1))  # 2 s of the 4
    pipeline, request = resumed(
        slow, Answer(hold=Gate()), fetch={"retries": 0, "timeout": "4s"}
    )
    record = pipeline.wait(request, "failed")
    assert len(provider.requests) == 3 and record["error"]["code"] == "timeout_total"
    assert 3900 <= record["attempts"][-1]["ms"] < 5900, "6000 or more, were each given all of it"


def test_a_416_that_nobody_asked_for_stays_what_it_is(pipeline, provider, receiver):
    provider.answers(416)
    record = pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    assert record["error"]["code"] == "http_status" and len(provider.requests) == 1
