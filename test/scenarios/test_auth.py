"""Who may use the api, and who sees what."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from peers import patience
from peers.keys import Keys, bearer, keyed, line
from peers.pipeline import program
from peers.web import Answer, Gate

ALICE, BOB, ADMIN = "wonder", "build", "operator"
DATA_URL_MIN = 1024 * 1024 + 1  # a byte more than what is delivered in the callback itself


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path).write(("alice", ALICE), ("bob", BOB), ("op", ADMIN, "admin"))


@pytest.fixture
def held(launch, keys, provider):
    """A pipeline whose provider does not answer: what is sent stays."""
    gate = Gate()
    provider.answers(Answer(hold=gate))
    yield launch(API_KEYS=keys.path)
    gate.open()


def status(pipeline, path, key=None, method="GET", body=None):
    return pipeline.call(method, path, body, bearer(key) if key else None).status


# ---- without keys -------------------------------------------------------------------------------


def test_an_open_api_says_so_first(pipeline):
    first = pipeline.api.log(whole=True).splitlines()[0]
    assert "open: without API_KEYS" in json.loads(first)["reason"]


def test_an_open_api_refuses_foreign_names(launch):
    pipeline = launch(only={"api": {"PUBLIC_URL": "https://Hooks.Example:8443/x"}})
    pipeline.api.env["PUBLIC_URL"] = "https://Hooks.Example:8443/x"
    pipeline.api.end()
    pipeline.api.start()
    foreign = ("evil.example", "evil.example:3001", "localhost.evil.example", "10.0.0.1", "[::2]")
    for host in foreign:
        for method, path in (("POST", "/"), ("GET", "/healthz"), ("GET", "/metrics")):
            assert pipeline.call(method, path, headers={"Host": host}).status == 403, host
    for host in ("localhost", "127.0.0.1:1", "hooks.example", "HOOKS.example:3001", "[::1]:3001"):
        assert pipeline.call("GET", "/healthz", headers={"Host": host}).status == 200, host


def as_a_browser_posts(page):
    """For a page that has no right to: text/plain and forms need no leave of ours (CORS)."""
    return {
        "Origin": page, "Referer": page + "/", "Content-Type": "text/plain;charset=UTF-8",
        "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty",
    }


def test_no_web_page_drives_an_open_api(launch, provider, receiver):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    pipeline = launch()
    waiting = pipeline.post(provider.url("/"), receiver.url("/"))
    page = as_a_browser_posts("http://evil.example")
    for method, path in (
        ("POST", "/queues/requests/pause"), ("POST", "/queues/responses/pause"), ("POST", "/requests/cancel"),
        ("POST", f"/requests/{waiting}/cancel"), ("DELETE", f"/requests/{waiting}"), ("POST", "/"),
    ):
        reply = pipeline.call(method, path, b"", page)
        assert reply.status == 403 and reply.headers["Content-Type"] == "application/problem+json", (path, reply)
    form = {**page, "Content-Type": "application/x-www-form-urlencoded"}
    assert pipeline.call("POST", "/requests/refetch?state=delivered", b"x=1", form).status == 403
    gate.open()
    pipeline.wait(waiting, "delivered")
    ours = {"Origin": f"http://localhost:{pipeline.port}", "Sec-Fetch-Site": "same-origin"}
    assert pipeline.call("POST", f"/requests/{waiting}/redeliver", b"", ours).status == 200
    assert pipeline.get(f"/requests/{waiting}", headers=page).status == 200, "only reads"


# ---- keys ---------------------------------------------------------------------------------------


def test_without_a_key_there_is_nothing(held):
    plain = 'Bearer realm="fetchback"'
    calls = [("POST", "/"), ("GET", "/requests"), ("POST", "/validate"), ("GET", "/metrics")]
    for headers, challenge in (({}, plain), (bearer("wrong"), plain + ', error="invalid_token"')):
        for method, path in calls:
            reply = held.call(method, path, headers=headers)
            assert reply.status == 401 and reply.json["status"] == 401, reply
            assert reply.headers["WWW-Authenticate"] == challenge
            assert reply.headers["Content-Type"] == "application/problem+json"
    assert held.call("GET", "/requests", headers={"Authorization": f"Basic {ALICE}"}).status == 401
    assert "open:" not in json.loads(held.api.log().splitlines()[0])["reason"]


def test_health_needs_no_key_and_no_name_of_ours(held):
    for path in ("/healthz", "/readyz"):
        assert held.call("GET", path, headers={"Host": "any.example"}).status == 200
    headers = {"Host": "any.example", **bearer(ALICE)}
    assert held.call("GET", "/requests", headers=headers).status == 200


def test_a_key_is_enough_for_a_page_of_any_site(held):
    """No browser has it unless it was told, and no form can send it."""
    path, page = "/queues/requests/pause", as_a_browser_posts("http://tools.example")
    assert held.call("POST", path, b"", page).status == 401
    assert held.call("POST", path, b"", {**page, **bearer(ADMIN)}).status == 200


def test_no_body_of_a_strangers_is_read(held):
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000"
    with socket.create_connection(("127.0.0.1", held.port), patience.bound(None)) as wire:
        wire.sendall(head.encode() + b"\r\n\r\n{")
        answer = wire.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 401 ") and b"Connection: close" in answer


def test_a_connection_goes_on_after_a_refusal_without_a_body(held):
    connection = http.client.HTTPConnection("127.0.0.1", held.port, timeout=patience.bound(None))
    seen = []
    for key in ("wrong", ALICE):
        connection.request("GET", "/requests", headers=bearer(key))
        answer = connection.getresponse()
        answer.read()
        seen.append((answer.status, connection.sock is not None))
    connection.close()
    assert seen == [(401, True), (200, True)]


def test_the_operators_calls_need_an_admin(held):
    calls = [("GET", "/metrics"), ("GET", "/queues")]
    calls += [("POST", f"/queues/requests/{verb}") for verb in ("pause", "resume")]
    for method, path in calls:
        seen = [status(held, path, key, method) for key in (None, ALICE, ADMIN)]
        assert seen == [401, 403, 200], path


# ---- whose requests -----------------------------------------------------------------------------


def test_each_name_sees_its_own_requests(held, provider, receiver):
    alice, bob, admin = (keyed(held, key) for key in (ALICE, BOB, ADMIN))
    mine, theirs = (who.post(provider.url(), receiver.url()) for who in (alice, bob))
    provider.holds(2)
    assert alice.record(mine)["owner"] == "alice" and bob.record(theirs)["owner"] == "bob"
    assert admin.record(mine)["owner"] == "alice"
    assert [one["requestId"] for one in alice.get("/requests").json["requests"]] == [mine]
    assert [one["requestId"] for one in bob.get("/requests").json["requests"]] == [theirs]
    assert {one["requestId"] for one in admin.get("/requests").json["requests"]} == {mine, theirs}
    unknown = alice.get(f"/requests/{theirs[:-12]}000000000000").json
    calls = [("GET", path) for path in ("", "/logs", "/logs?follow=1", "/data")] + [("DELETE", "")]
    for verb in ("cancel", "pause", "resume", "redeliver", "refetch"):
        calls.append(("POST", f"/{verb}"))
    for method, path in calls:
        reply = alice.call(method, f"/requests/{theirs}{path}")
        assert reply.status == 404 and reply.json == unknown, (method, path, reply)
    assert bob.state(theirs) == "fetching"
    assert admin.alter(theirs, "cancel").status == 200
    assert bob.state(theirs) == "cancelled"


def test_bulk_and_batch_are_each_names_own(held, provider, receiver):
    alice, bob, admin = (keyed(held, key) for key in (ALICE, BOB, ADMIN))
    item = {"provider": provider.url(), "callbackUrl": receiver.url(), "labels": ["ours"]}
    items = alice.call("POST", "/requests/batch", {"items": [item, item]}).json["items"]
    theirs = bob.call("POST", "/", item).json["requestId"]
    assert {alice.record(one["requestId"])["owner"] for one in items} == {"alice"}
    reply = bob.call("POST", "/requests/cancel?label=ours")
    assert reply.json["matched"] == reply.json["changed"] == 1, reply
    assert bob.state(theirs) == "cancelled" and alice.state(items[0]["requestId"]) != "cancelled"
    assert admin.call("POST", "/requests/cancel?label=ours").json["matched"] == 3


def test_keys_of_two_names_do_not_meet(held, provider, receiver):
    alice, bob = keyed(held, ALICE), keyed(held, BOB)
    body = {"provider": provider.url(), "callbackUrl": receiver.url()}

    def send(who, body, **headers):
        return who.call("POST", "/", body, headers).json["requestId"]

    once = [send(who, {**body, "dedupeKey": "one", "dedupeWindow": "10h"}) for who in (alice, bob, alice)]
    assert once[0] == once[2] != once[1]
    again = [send(who, body, **{"Idempotency-Key": "one"}) for who in (alice, bob, alice)]
    assert again[0] == again[2] != again[1]


def test_what_was_sent_to_an_open_api_is_the_admins(launch, keys, provider, receiver):
    pipeline = launch()
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    pipeline.api.end()
    pipeline.api.env["API_KEYS"] = str(keys.path)
    pipeline.api.start()
    assert status(pipeline, f"/requests/{request}", ALICE) == 404
    assert status(pipeline, f"/requests/{request}", ADMIN) == 200


def test_a_signed_link_needs_no_key(launch, keys, provider, receiver):
    pipeline = launch(API_KEYS=keys.path)
    provider.answers(Answer(body=b"x" * DATA_URL_MIN, type="text/plain"))
    request = keyed(pipeline, ALICE).post(provider.url(), receiver.url())
    url = receiver.got(1)[0].json["dataUrl"]
    assert url.startswith(f"{pipeline.url}/requests/{request}/data?")
    path = url[len(pipeline.url):]
    for headers in (None, bearer("wrong"), bearer(BOB)):
        reply = pipeline.call("GET", path, headers=headers)
        assert reply.status == 200 and len(reply.body) == DATA_URL_MIN
    bare, query = path.split("?")
    forged = query[:-1] + ("0" if query[-1] != "0" else "1")
    assert status(pipeline, f"{bare}?{forged}") == 403
    assert status(pipeline, f"{bare}?{query.split('&')[0]}") == 403
    assert status(pipeline, bare) == 401
    assert [status(pipeline, bare, key) for key in (ALICE, BOB, ADMIN)] == [200, 404, 200]
    for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/cancel")):  # the data alone
        assert status(pipeline, f"/requests/{request}{path}?{query}", method=method) == 401


# ---- the file -----------------------------------------------------------------------------------


def reload(pipeline):
    said = pipeline.api.log().count("reloading")
    pipeline.api.signal(signal.SIGHUP)
    patience.until(lambda: pipeline.api.log().count("reloading") > said, "the api to reload")


def test_keys_rotate_without_a_restart(held, keys, provider, receiver):
    request = keyed(held, ALICE).post(provider.url(), receiver.url())
    keys.write(("alice", ALICE), ("alice", "looking-glass"), ("carol", "new"))
    reload(held)
    patience.until(lambda: status(held, "/requests", "new") == 200, "the new key to be known")
    path = f"/requests/{request}"
    seen = [status(held, path, key) for key in (ALICE, "looking-glass", "new", BOB)]
    assert seen == [200, 200, 404, 401]
    keys.write(("alice", "looking-glass"))
    reload(held)
    patience.until(lambda: status(held, path, ALICE) == 401, "the old key to be gone")
    assert status(held, path, "looking-glass") == 200


def test_a_wrong_file_leaves_the_old_keys(held, keys):
    keys.path.write_text(line("alice", "other") + "\nbob:password\n")
    reload(held)
    held.api.wait_said("keys_refused")
    refusal = next(event for event in held.api.events() if event["event"] == "keys_refused")
    assert "line 2" in refusal["reason"] and "password" not in refusal["reason"]
    assert [status(held, "/requests", key) for key in (ALICE, "other")] == [200, 401]


@pytest.mark.parametrize("text", [None, "", "alice:password\n", "alice:" + "0" * 64 + ":whsec_x\n"])
@pytest.mark.parametrize("service", ["api", "responder"])
def test_a_wrong_file_stops_the_start(programs, redis, tmp_path, service, text):
    path = tmp_path / "wrong"
    if text is not None:
        path.write_text(text)
    env = {"PATH": os.environ["PATH"], "REDIS_URL": redis.url, "API_KEYS": str(path)}
    run = subprocess.run(
        [program(f"fetchback-{service}")], env=env, capture_output=True, text=True,
        timeout=patience.bound(None),
    )
    assert run.returncode == 100 and "API_KEYS" in run.stderr, run


# ---- how much -----------------------------------------------------------------------------------


def test_a_name_has_a_rate(launch, keys):
    pipeline = launch(API_KEYS=keys.path, API_RATE=5)
    alice, bob = keyed(pipeline, ALICE), keyed(pipeline, BOB)
    begun, replies = time.monotonic(), []
    for _ in range(1000):
        replies.append(alice.get("/requests"))
        if replies[-1].status != 200:
            break
    took = time.monotonic() - begun
    assert 5 <= len(replies) - 1 <= 5 + 5 * took + 1
    first, last = replies[0], replies[-1]
    assert last.status == 429 and last.json["status"] == 429
    assert last.headers["Retry-After"] == "1"
    for reply in replies:
        assert reply.headers["RateLimit-Policy"] == '"calls";q=5;w=1'
    assert first.headers["RateLimit"] == '"calls";r=4;t=1'
    assert last.headers["RateLimit"] == '"calls";r=0;t=1'
    assert bob.get("/requests").status == 200, "another name's is its own"
    for _ in range(20):
        assert pipeline.get("/healthz").status == 200
    patience.until(lambda: alice.get("/requests").status == 200, "time to bring a call")
    metrics = keyed(pipeline, ADMIN).get("/metrics").body.decode()
    refused = re.search(r'^fetchback_refused_total{.*reason="rate"} (\d+)$', metrics, re.M)
    assert int(refused.group(1)) >= 1


def test_two_keys_of_a_name_share_its_rate(launch, keys):
    keys.write(("alice", ALICE), ("alice", "looking-glass"))
    pipeline = launch(API_KEYS=keys.path, API_RATE=2)
    seen = {status(pipeline, "/requests", key) for key in (ALICE, "looking-glass") * 4}
    assert seen == {200, 429}


def test_no_name_fills_the_backlog_while_others_wait(launch, keys, provider, receiver):
    gate = Gate()
    provider.answers(Answer(hold=gate))
    pipeline = launch(API_KEYS=keys.path, QUEUE_MAX=10)
    alice, bob = keyed(pipeline, ALICE), keyed(pipeline, BOB)
    for _ in range(6):  # alone it may have more than half
        alice.post(provider.url(), receiver.url())
    bob.post(provider.url(), receiver.url())
    reply = alice.call("POST", "/", {"provider": provider.url(), "callbackUrl": receiver.url()})
    assert reply.status == 429 and int(reply.headers["Retry-After"]) > 0, reply
    bob.post(provider.url(), receiver.url())
    gate.open()
    receiver.got(8)


# ---- the command --------------------------------------------------------------------------------


def command(pipeline, *words, **settings):
    run = subprocess.run(
        [program("fetchback"), *words, "--api", pipeline.url], capture_output=True, text=True,
        timeout=patience.bound(None), env={"PATH": os.environ["PATH"], **settings},
    )
    return run.returncode, run.stdout + run.stderr


def test_the_command_has_a_key(held, provider, receiver, tmp_path):
    file = tmp_path / "key"
    file.write_text(ALICE + "\n")
    code, said = command(held, "send", provider.url(), receiver.url(), FETCHBACK_API_KEY=ALICE)
    assert code == 0, said
    request = said.strip()
    assert command(held, "status", request, FETCHBACK_API_KEY_FILE=str(file))[0] == 0
    flag = ("--api-key-file", str(file))
    assert command(held, "status", request, *flag, FETCHBACK_API_KEY=BOB)[0] == 0
    assert command(held, "logs", request, f"--api-key={ALICE}")[0] == 0
    code, said = command(held, "status", request, FETCHBACK_API_KEY=BOB)
    assert code == 1 and "404" in said
    code, said = command(held, "status", request)
    assert code == 1 and "401" in said and "key" in said
    for wrong in ("two words", "line\nbreak", ""):
        assert command(held, "status", request, "--api-key", wrong)[0] == 2
    assert command(held, "status", request, "--api-key-file", str(tmp_path / "none"))[0] == 2
