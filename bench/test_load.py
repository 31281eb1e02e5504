"""
The judge judged: fetchback-load against a pipeline of thirty lines that misbehaves on command. It must
pass the good one and find each fault in the others.
"""
import http.client
import json
import os
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

BIN = os.environ.get("FETCHBACK_BIN") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "dev", "bin")
LOAD = os.path.join(BIN, "fetchback-load")
REQUESTS = 50
VICTIM = 7  # the request, counted as they come, that a fault strikes


def ask(method, url, body=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, parts.path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


class Pipeline(ThreadingHTTPServer):
    """Fetches and calls back while the client waits for its 202, unless a fault says otherwise."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.count = 0
        self.lock = threading.Lock()
        self.first_id = None
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def struck(self):
        with self.lock:
            self.count += 1
            return self.fault if self.count == VICTIM else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, document):
        body = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault, request_id = self.server.struck(), str(uuid.uuid4())
        self.server.first_id = self.server.first_id or request_id
        if fault == "refuse":
            self.answer(503, {"title": "no"})
            return
        if fault == "hang up":
            self.close_connection = True
            return
        _, data = ask("GET", request["provider"])
        if fault == "change":
            data = data.replace(b"abc", b"abd")
        if fault == "cut":
            data = data[:-3] + b'"}'
        called = self.server.first_id if fault == "other id" else request_id
        for _ in range({"lose": 0, "double": 2}.get(fault, 1)):
            ask("POST", request["callbackUrl"], b'{"requestId":"%s","data":%s}' % (called.encode(), data))
        self.answer(202, {"requestId": request_id})


def run(fault=None, mode="closed", *options):
    pipeline = Pipeline(fault)
    try:
        done = subprocess.run(
            [LOAD, mode, "--api", f"http://127.0.0.1:{pipeline.server_port}", "--requests", str(REQUESTS),
             "--connections", "4", "--limit", "1" if fault else "10", "--linger", "50", "--json", *options],
            capture_output=True, text=True, timeout=30)
    finally:
        pipeline.shutdown()
        pipeline.server_close()
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("options", [
    ("closed",), ("closed", "--provider-hosts", "3", "--callback-hosts", "2"), ("closed", "--window", "2"),
    ("closed", "--body-bytes", "64"), ("closed", "--body-bytes", "300000"), ("closed", "--provider-delay", "5"),
    ("rate", "--rate", "200"), ("accept",)])
def test_a_good_pipeline_passes(options):
    code, report = run(None, *options)
    assert code == 0
    assert report["accepted"] == report["delivered"] == REQUESTS
    assert report["lost"] == report["duplicates"] == report["wrong"] == report["refetches"] == 0


@pytest.mark.parametrize("fault, figure", [
    ("lose", "lost"), ("double", "duplicates"), ("change", "wrong"), ("cut", "wrong"), ("other id", "wrong"),
    ("refuse", "refused"), ("hang up", "unknown")])
def test_a_fault_is_found(fault, figure):
    code, report = run(fault)
    assert code == 1
    assert report[figure] >= 1


@pytest.mark.parametrize("fault", ["double", "hang up"])
def test_under_kills_a_duplicate_is_allowed(fault):
    code, _ = run(fault, "closed", "--at-least-once")
    assert code == 0


@pytest.mark.parametrize("fault", ["lose", "change"])
def test_under_kills_a_loss_is_not(fault):
    code, _ = run(fault, "closed", "--at-least-once")
    assert code == 1


def test_a_fixed_rate_is_kept_and_waiting_is_latency():
    """One connection, 20 ms an answer, 100/s wanted: half of what is due waits, and the figures say so."""
    code, report = run(None, "rate", "--rate", "100", "--provider-delay", "20", "--connections", "1")
    assert code == 0
    assert report["latency_ms"]["max"] > 300


def test_processes_are_measured():
    code, report = run(None, "closed", "--pids", f"me={os.getpid()}")
    assert code == 0
    (process,) = report["processes"]
    assert process["name"] == "me" and process["rss_kb"] > 1000 and report["cpu_us_per_request"] > 0


@pytest.mark.parametrize("words", [
    [], ["closed"], ["closed", "--api", "https://127.0.0.1:1"], ["fast", "--api", "http://127.0.0.1:1"],
    ["closed", "--api", "http://127.0.0.1:1", "--requests", "-1"]])
def test_a_wrong_command_line_ends_with_100(words):
    assert subprocess.run([LOAD, *words], capture_output=True, timeout=10).returncode == 100
