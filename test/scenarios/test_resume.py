"""A download that is paused in its middle goes on where it was cut, and is whole in the end."""
import hashlib
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from peers import patience
from peers.web import Answer

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
    assert pipeline.call("POST", f"/requests/{request}/pause").status == 200
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


def first(body=DIGITS, **headers):
    """The answer that gets cut: two thirds of it come."""
    said = {"ETag": '"first"', **headers}
    return Answer(body=body[: 600 * KIB], length=len(body), type="text/csv", headers=said)


def start_of(seen):
    return int(re.fullmatch(r"bytes=(\d+)-", seen.headers["range"]).group(1))


def rest(seen, body=DIGITS, status=206, begin=0, **options):
    """What a provider says that goes on where it is asked to (begin: so many bytes beside it)."""
    start = start_of(seen) + begin
    said = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}", "ETag": '"first"'}
    options = {"type": None, **options, "headers": {**said, **options.get("headers", {})}}
    return Answer(status, body=body[start:], **options)


@pytest.fixture
def resumed(launch, provider, receiver):
    """resumed(answers …): (pipeline, id) of a fetch that was cut, and then met these answers."""

    def start(*later, cut=first(), **more):
        pipeline = launch(DATA_MAX="1MiB")
        provider.answers(cut, *later)
        request = pipeline.post(provider.url(), receiver.url(), **more)
        stored = lambda: pipeline.redis.call("KEYS", "{f0}:b:*")
        patience.until(stored, "a piece of the first answer to be stored")
        assert pipeline.call("POST", f"/requests/{request}/pause").status == 200
        assert pipeline.call("POST", f"/requests/{request}/resume").status == 200
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


@pytest.mark.parametrize("again", [rest, lambda seen: Answer(body=OTHERS)], ids=["going on", "anew"])
def test_what_goes_wrong_is_told_before_where_it_began(resumed, again):
    def answer(seen):
        said = again(seen)
        said.cut = 100 * KIB
        return said

    pipeline, request = resumed(answer, fetch={"retries": 0})
    pipeline.wait(request, "failed")
    reason = ended(pipeline, request, "failed")["reason"]
    assert "resumed" not in reason and "beginning" not in reason
