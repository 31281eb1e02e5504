"""Real input: a real web server with real files, over http and https, as one would try it."""
import base64
import csv
import hashlib
import io
import json
import os
import shutil
import struct
import urllib.parse
import zlib

import pytest

from peers.nginx import Nginx
from peers.pipeline import DEFAULTS

ISO_CODES = "/usr/share/iso-codes/json"
SCALE = int(DEFAULTS["TIME_SCALE"])
CLOCK = 0.003  # both times and the ms of an attempt are whole milliseconds
PLAIN = "Zürich, Łódź, Ελλάδα, 東京 – good morning\n" * 200


def a_png(width=64):
    """A real image: a gradient in grey."""
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", check)

    rows = b"".join(b"\0" + bytes((x * 4 + y) % 256 for x in range(width)) for y in range(width))
    head = struct.pack("!IIBBBBB", width, width, 8, 0, 0, 0, 0)
    pixels = zlib.compress(rows)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def a_csv():
    """All languages of ISO 639-3, several times over: some megabytes."""
    with open(os.path.join(ISO_CODES, "iso_639-3.json")) as source:
        languages = json.load(source)["639-3"]
    out = io.StringIO()
    table = csv.DictWriter(out, ["alpha_3", "name", "scope", "type", "copy"], extrasaction="ignore")
    table.writeheader()
    for copy in range(8):
        table.writerows({**language, "copy": copy} for language in languages)
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    for name in os.listdir(ISO_CODES):
        shutil.copy(os.path.join(ISO_CODES, name), root)
    (root / "languages.csv").write_bytes(a_csv())
    (root / "plain.txt").write_text(PLAIN)
    (root / "image.png").write_bytes(a_png())
    (root / "empty.txt").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def nginx(tmp_path_factory, site, tls):
    server = Nginx(tmp_path_factory.mktemp("nginx"), site, tls).start()
    yield server
    server.destroy()


@pytest.fixture(params=["http", "https"])
def url(request, nginx):
    return lambda path: nginx.url(path, secure=request.param == "https")


@pytest.fixture
def trusting(launch, tls):
    return launch(CA_FILE=tls.ca_file)


def tells_its_way(pipeline, request):
    """Nothing went wrong on it, and its log says so."""
    told = [(event["service"], event["level"], event["event"]) for event in pipeline.logs(request)]
    assert told == [
        ("api", "info", "accepted"), ("consumer", "info", "fetched"), ("responder", "info", "delivered"),
    ]


def said(reader, pipeline, provider, receiver):
    request = pipeline.post(provider, receiver.url())
    pipeline.wait(request, "delivered")
    tells_its_way(pipeline, request)
    return reader(receiver.requests[-1].json)


def test_real_files_arrive_whole(trusting, url, receiver, site):
    for name in ("iso_3166-1.json", "iso_4217.json", "iso_15924.json"):
        provider = url(f"/{name}")
        request = trusting.post(provider, receiver.url())
        trusting.wait(request, "delivered")
        whole = (site / name).read_bytes()
        told = b'{"requestId":"%s","data":%s}' % (request.encode(), whole)
        assert receiver.requests[-1].body == told
        assert trusting.data(request) == whole
        tells_its_way(trusting, request)
    assert said(lambda got: got["data"], trusting, url("/plain.txt"), receiver) == PLAIN
    image = said(lambda got: got["dataBase64"], trusting, url("/image.png"), receiver)
    assert base64.b64decode(image) == (site / "image.png").read_bytes()
    assert said(lambda got: got["data"], trusting, url("/empty.txt"), receiver) is None
    moved = said(lambda got: got["data"], trusting, url("/moved"), receiver)
    assert len(moved["3166-1"]) == 249


def test_a_large_table_is_fetched_from_where_the_callback_says(trusting, url, receiver, site):
    whole = (site / "languages.csv").read_bytes()
    assert len(whole) > 1 << 20
    got = said(dict, trusting, url("/languages.csv"), receiver)
    place = urllib.parse.urlsplit(got["dataUrl"])
    fetched = trusting.get(f"{place.path}?{place.query}")
    assert fetched.body == whole and fetched.headers["Content-Type"].startswith("text/csv")
    assert got["bytes"] == len(whole) and got["sha256"] == hashlib.sha256(whole).hexdigest()


def test_failures_of_a_real_server(trusting, url, receiver):
    missing = trusting.wait(trusting.post(url("/missing.json"), receiver.url()), "failed")
    assert missing["error"]["code"] == "http_status" and "404" in missing["error"]["message"]
    for path, status, hint in [("/unavailable", 503, 600), ("/limited", 429, 300)]:
        request = trusting.post(url(path), receiver.url())
        first, second = trusting.wait_attempts(request, "fetch", 2)[:2]
        assert (first["status"], second["status"]) == (status, status)
        ended = trusting.seconds(first["startedAt"]) + first["ms"] / 1000
        waited = trusting.seconds(second["startedAt"]) - ended
        assert waited >= hint / SCALE - CLOCK, "its Retry-After is kept"
        assert trusting.waits(request)[0] == hint / SCALE, "and nothing is added to it"
        retries = [event for event in trusting.logs(request) if event["event"] == "retry"]
        assert str(status) in retries[0]["reason"] and retries[0]["level"] == "warn"
        assert trusting.alter(request, "cancel").status == 200
    assert not receiver.requests


def test_a_slow_server_is_waited_for(trusting, nginx, url, receiver, site):
    whole = (site / "iso_3166-1.json").read_bytes()
    nginx.process.stop()  # it begins once the fetch was seen under way
    try:
        request = trusting.post(url("/slow/iso_3166-1.json"), receiver.url())
        trusting.wait(request, "fetching")
    finally:
        nginx.process.cont()
    record = trusting.wait(request, "delivered", timeout=30)
    assert trusting.data(request) == whole and record["attempts"][0]["ms"] > 500
    tells_its_way(trusting, request)


def test_an_authority_nobody_knows_is_not_believed(launch, nginx, receiver):
    pipeline = launch()
    request = pipeline.post(nginx.url("/plain.txt", secure=True), receiver.url())
    attempt = pipeline.wait_attempts(request, "fetch", 1)[0]
    assert attempt["error"]["code"] == "tls" and not receiver.requests
