"""A download that is paused in its middle goes on where it was cut, and is whole in the end."""
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

MIB = 1 << 20
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
