"""Every fault of what a client sends is named, all at once, and nothing faulty is accepted."""
import json

import pytest

GOOD = {"provider": "http://127.0.0.1:9/p", "callbackUrl": "http://127.0.0.1:9/c"}


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


FAULTS = {  # body: the pointers its answer must name, exactly
    "nothing given": ({}, {"/provider", "/callbackUrl"}),
    "no provider": (without("provider"), {"/provider"}),
    "no callback": (without("callbackUrl"), {"/callbackUrl"}),
    "all wrong": (
        {"provider": 7, "callbackUrl": "no", "colour": 1}, {"/provider", "/callbackUrl", "/colour"},
    ),
    "unknown fields": ({**GOOD, "frob": 1, "Provider": "x"}, {"/frob", "/Provider"}),
    "a name that needs escaping": ({**GOOD, "a/b~c": 1}, {"/a~1b~0c"}),
    "an array": ([GOOD], {""}),
    "a string": ("x", {""}),
    "null": (None, {""}),
}
URL_FAULTS = {
    "number": 7, "null": None, "object": {}, "empty": "", "relative": "/report",
    "no scheme": "example.test/x",
    "scheme only": "http:", "no host": "http://:80/x", "only a query": "http://?x",
    "network path": "//example.test/",
    "ftp": "ftp://example.test/", "file": "file:///etc/passwd", "gopher": "gopher://example.test/",
    "javascript": "javascript:1",
    "user": "http://user@example.test/", "user and password": "http://u:p@example.test/",
    "empty user": "http://@example.test/",
    "port 0": "http://example.test:0/", "port too high": "http://example.test:65536/",
    "no number": "http://example.test:x/",
    "negative port": "http://example.test:-1/", "space": "http://example.test/a b",
    "leading space": " http://example.test/",
    "tab": "http://example.test/\t", "newline": "http://example.test/\r\nX: y",
    "delete": "http://example.test/\x7f",
    "nul": "http://example.test/\0", "backslash": "http://example.test\\@127.0.0.1/",
    "backslash in path": "http://example.test/\\",
    "percent in host": "http://%65xample.test/", "letters beyond ASCII": "http://exämple.test/",
    "fullwidth": "http://１２７.0.0.1/",
    "dot": "http://./", "long label": "http://" + "a" * 64 + ".test/",
    "long host": "http://" + "a." * 127 + "test/", "broken brackets": "http://[::1/",
    "zone": "http://[fe80::1%25eth0]/", "9 KiB": "http://example.test/" + "a" * 9000,
}
MALFORMED = {
    "empty": b"", "spaces": b"  ", "half": b'{"provider":', "two": b"{}{}",
    "trailing comma": b'{"a":1,}', "single quotes": b"{'a':1}",
    "comment": b"{/**/}", "NaN": b'{"a":NaN}', "not UTF-8": b'{"provider":"\xff"}',
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"), "NUL inside": b'{"a"\0:1}', "form": b"provider=http://x",
    "raw newline in a string": b'{"provider":"a\nb"}',
}


def refused(reply, *statuses):
    assert reply.status in statuses, reply
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json
    assert problem["status"] == reply.status
    assert problem["title"] and problem["type"] and problem["detail"]
    return problem


@pytest.mark.parametrize("body, pointers", FAULTS.values(), ids=FAULTS)
def test_every_fault_is_named_at_once(pipeline, body, pointers):
    reply = pipeline.call("POST", "/", json.dumps(body))
    refused(reply, 422)
    assert set(reply.faults) == pointers
    assert all(reply.faults.values())


@pytest.mark.parametrize("field", ["provider", "callbackUrl"])
def test_no_faulty_url_is_accepted(pipeline, field):
    wrong = {}
    for name, url in URL_FAULTS.items():
        reply = pipeline.call("POST", "/", json.dumps({**GOOD, field: url}))
        if reply.status != 422 or list(reply.faults) != [f"/{field}"]:
            wrong[name] = reply
    assert not wrong


def test_urls_that_are_fine_are_accepted(launch):
    pipeline = launch(consumers=0, responders=0)
    for url in [
        "http://example.test", "HTTP://EXAMPLE.test:8080/", "https://example.test/?a=b#c",
        "http://example.test/%2e%2e/%20",
        "http://[2606:4700::1111]:8080/", "http://xn--exmple-cua.test/", "http://a_b.test/",
        "http://example.test/" + "a" * 8000,
        "http://example.test./", "http://127.0.0.1:9/?q={}|^`\"<>",
    ]:
        reply = pipeline.call("POST", "/", {**GOOD, "provider": url})
        assert reply.status == 202, (url, reply)


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_json_is_400(pipeline, body):
    refused(pipeline.call("POST", "/", body), 400)


def test_a_field_given_twice_is_refused(pipeline):
    twice = b'{"provider":"http://a.test/","provider":"http://b.test/","callbackUrl":"http://c/"}'
    refused(pipeline.call("POST", "/", twice), 400, 422)


def test_depth_and_size_have_ceilings(pipeline):
    deep = b'{"provider":' + b"[" * 70 + b"]" * 70 + b"}"
    refused(pipeline.call("POST", "/", deep), 400, 422)
    deeper = b"[" * 500_000
    refused(pipeline.call("POST", "/", deeper), 400, 422)
    padded = json.dumps(GOOD).encode().ljust(1 << 20)
    assert pipeline.call("POST", "/", padded).status == 202
    refused(pipeline.call("POST", "/", padded + b" "), 413)


def test_hundreds_of_faults_are_one_bounded_answer(pipeline):
    reply = pipeline.call("POST", "/", {f"field{i}": i for i in range(5000)})
    refused(reply, 422)
    assert 10 <= len(reply.json["errors"]) <= 100 and len(reply.body) < 64 << 10


OTHER_KINDS = ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", "", "json"]
SPELLINGS = ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=X"]
NOWHERE = ["/nothing", "/requests/", "//", "/requests/a/b/c", "/../etc/passwd", "/%2e%2e/x", "/R"]
OTHER_METHODS = [
    ("PUT", "/requests"), ("PUT", "/"), ("DELETE", "/healthz"), ("PATCH", "/requests"),
    ("POST", "/readyz"), ("BREW", "/"), ("TRACE", "/queues"), ("FOO", "/requests?state=failed"), ("PROPFIND", "/"),
]
FOREIGN = ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:3001", "[::2]", "10.0.0.1", ""]


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_another_content_type_is_415(pipeline, kind):
    refused(pipeline.call("POST", "/", json.dumps(GOOD), {"Content-Type": kind}), 415)


@pytest.mark.parametrize("kind", SPELLINGS)
def test_json_by_any_spelling_is_taken(pipeline, kind):
    assert pipeline.call("POST", "/", json.dumps(GOOD), {"Content-Type": kind}).status == 202


@pytest.mark.parametrize("path", NOWHERE)
def test_unknown_places_are_404(pipeline, path):
    refused(pipeline.get(path), 404, 400)


@pytest.mark.parametrize("method, path", OTHER_METHODS)
def test_another_method_is_405_with_what_is_allowed(pipeline, method, path):
    reply = pipeline.call(method, path)
    refused(reply, 405)
    assert reply.headers["Allow"] and method not in reply.headers["Allow"]


@pytest.mark.parametrize("method, path", [("BREW", "/nothing"), ("TRACE", "/requests/no-id"), ("FOO", "/%00"), ("F", "/a/b?c")])
def test_no_method_is_known_where_nothing_is(pipeline, method, path):
    refused(pipeline.call(method, path), 404)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_name_is_403(pipeline, host):
    refused(pipeline.get("/healthz", headers={"Host": host}), 403, 400)
    refused(pipeline.call("POST", "/", json.dumps(GOOD), {"Host": host}), 403, 400)


def test_our_own_names_are_welcome(pipeline):
    port = pipeline.port
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", "LOCALHOST"):
        assert pipeline.get("/healthz", headers={"Host": host}).status == 200, host


def test_nothing_refused_was_kept(launch):
    pipeline = launch(consumers=0, responders=0)
    before = pipeline.redis.call("DBSIZE")
    for body, _ in FAULTS.values():
        pipeline.call("POST", "/", json.dumps(body))
    assert pipeline.redis.call("DBSIZE") == before
