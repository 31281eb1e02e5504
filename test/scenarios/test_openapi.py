"""
The api's description of itself is true: every call it names is made here, every status it names
brought about, and each answer, of these and of all scenarios that have run before, fits its schema.
What other processes of the same run have heard is judged when all have ended: conftest.py.
"""
import hashlib
import http.client
import json
import os
import re
import threading

import pytest

from peers import openapi, patience, stage
from peers.heard import Heard, heard
from peers.openapi import described
from peers.pipeline import ROOT
from peers.web import Answer

NOBODY = "0190a3c4-0000-7000-8000-000000000001"
MIB = 1024 * 1024
ALICES, BOSSES = b"wonder", b"rule"  # keys


@pytest.fixture(scope="session", autouse=True)
def judge():
    openapi.install()


def operations(status=None):
    """[(method, path, whether it takes JSON)] of those that have this status."""
    return [
        (method.upper(), path.replace("{id}", NOBODY), "requestBody" in operation)
        for path, item in described()["paths"].items()
        for method, operation in item.items()
        if method != "parameters" and (status is None or status in operation["responses"])
    ]


def each(pipeline, status, body=None, **headers):
    """Makes every call that may be answered so, with these headers; it must be."""
    for method, path, _ in operations("default" if status == 417 else str(status)):
        said(pipeline, status, method, path, body, **headers)


def said(pipeline, status, method, path, body=None, **headers):
    reply = pipeline.call(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    assert reply.status == status, (method, path, reply)
    return reply


# ---- one story a kind of answer -----------------------------------------------------------------------


def refusals_of_the_exchange(pipeline):
    """Before anybody looks at what is asked for."""
    each(pipeline, 400, Transfer_Encoding="gzip")
    each(pipeline, 403, Host="evil.example")
    for method, path, _ in operations("403"):
        if method != "GET":
            said(pipeline, 403, method, path, Origin="http://evil.example")
    each(pipeline, 417, body="{}", Expect="wonders")
    for path in dict.fromkeys(path for _, path, _ in operations()):
        said(pipeline, 405, "PATCH", path)
    for method, path, takes in operations("413"):
        said(pipeline, 413, method, path, " ", Content_Length=str(17 * MIB))
        said(pipeline, 415, method, path, "{}", Content_Type="text/plain")
        said(pipeline, 400, method, path, "{")
        assert said(pipeline, 422, method, path, '{"no": 1}').faults["/no"]


def refusals_by_query(pipeline):
    """No parameter that a call does not know is passed over."""
    for method, path, takes in operations("422"):
        if not takes:
            reply = said(pipeline, 422, method, f"{path}?limit=1&limit=1&nosuch=%00&follow=1&follow=1&expires=1&expires=2")
            told = [fault["detail"] for fault in reply.json["errors"]]
            assert 'the query parameter "nosuch" is not known' in told and len(told) >= 4, told


def refusals_by_id(pipeline):
    for method, path, _ in operations("404"):
        said(pipeline, 404, method, path)
        said(pipeline, 404, method, path.replace(NOBODY, "no-id"))


def submitted(pipeline, good):
    """Each way in, each kind of answer; the last id."""
    for path in ("/", "/requests"):
        key = {"Idempotency_Key": f"key of {path}"}
        first = said(pipeline, 202, "POST", path, good, **key).json["requestId"]
        again = said(pipeline, 202, "POST", path, good, **key).json
        assert again["requestId"] == first and again["deduplicated"]
        said(pipeline, 422, "POST", path, {**good, "meta": 1}, **key)
    wrong = {**good, "provider": "ftp://nowhere"}
    reply = said(pipeline, 200, "POST", "/requests/batch", {"items": [good, wrong, 7]})
    assert [item["status"] for item in reply.json["items"]] == [202, 422, 422]
    assert said(pipeline, 200, "POST", "/validate", good).json["hosts"]
    said(pipeline, 200, "POST", "/validate", {**good, "provider": "http://no.such.name.invalid/"})
    said(pipeline, 422, "POST", "/validate", {**good, "provider": "http://10.0.0.1/"})
    return first


def looked_at(pipeline, request):
    pipeline.wait(request, "delivered")
    base = f"/requests/{request}"
    said(pipeline, 200, "GET", f"{base}/logs")
    stream = said(pipeline, 200, "GET", f"{base}/logs?follow=1", Last_Event_ID="1")
    assert b"event: end" in stream.body
    said(pipeline, 422, "GET", f"{base}/logs?follow=2")
    tag = said(pipeline, 200, "GET", f"{base}/data").headers["ETag"]
    said(pipeline, 206, "GET", f"{base}/data", Range="bytes=0-1")
    said(pipeline, 304, "GET", f"{base}/data", If_None_Match=tag)
    said(pipeline, 412, "GET", f"{base}/data", If_Match='"other"')
    said(pipeline, 416, "GET", f"{base}/data", Range="bytes=9999-")
    said(pipeline, 403, "GET", f"{base}/data?expires=1&signature=00")
    page = said(pipeline, 200, "GET", "/requests?limit=1&state=delivered").json
    said(pipeline, 200, "GET", f"/requests?state=delivered&cursor={page['cursor']}")
    said(pipeline, 422, "GET", "/requests?limit=0&no=1&since=yesterday")


def acted_on(pipeline, good, request):
    base = f"/requests/{request}"
    for verb in ("cancel", "pause", "resume"):
        said(pipeline, 409, "POST", f"{base}/{verb}")
    for verb in ("redeliver", "refetch"):
        said(pipeline, 200, "POST", f"{base}/{verb}")
        pipeline.wait(request, "delivered")
    waits = pipeline.post(good["provider"], good["callbackUrl"], delay="300d")
    for verb in ("redeliver", "refetch"):
        said(pipeline, 409, "POST", f"/requests/{waits}/{verb}")
    for verb in ("pause", "resume", "cancel"):
        said(pipeline, 200, "POST", f"/requests/{waits}/{verb}")
    said(pipeline, 204, "DELETE", f"/requests/{waits}")
    for verb in ("cancel", "redeliver", "refetch"):
        said(pipeline, 200, "POST", f"/requests/{verb}?state=delivered&limit=1")
        said(pipeline, 422, "POST", f"/requests/{verb}?no=1")


def operated(pipeline):
    for path in ("/queues", "/healthz", "/readyz", "/metrics", "/openapi.json"):
        said(pipeline, 200, "GET", path)
    for queue in ("requests", "responses"):
        for verb in ("pause", "resume"):
            assert said(pipeline, 200, "POST", f"/queues/{queue}/{verb}").json[queue]["paused"] == (verb == "pause")


def held_by_a_worker(pipeline, peers, receiver):
    """Its worker sleeps, so whoever waits for it is answered 202 after a second."""
    gate, held = stage.Gate(), []
    for host in peers:  # a new host has two slots
        host.answers(Answer(hold=gate))
        held += [pipeline.post(host.url(), receiver.url(), labels=["held"]) for _ in range(2)]
        host.holds(2)
    pipeline.consumer.stop()
    for_one = [("POST", f"/requests/{held[0]}/cancel"), ("POST", f"/requests/{held[1]}/pause"), ("DELETE", f"/requests/{held[2]}")]
    at_once(lambda method, path: said(pipeline, 202, method, path), for_one)
    assert said(pipeline, 202, "POST", "/requests/cancel?label=held").json["cancelling"]
    pipeline.consumer.cont()
    gate.open()


def at_once(make, calls):
    troubles = []

    def run(call):
        try:
            make(*call)
        except BaseException as trouble:
            troubles.append(trouble)

    runners = [threading.Thread(target=run, args=(call,)) for call in calls]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert not troubles, troubles


def without_redis(pipeline, good):
    """Stopped: what was sent has an unknown end. Gone: nothing is sent."""
    pipeline.redis.stop()
    assert said(pipeline, 503, "POST", "/", good).json["requestId"]
    pipeline.redis.kill()
    patience.until(lambda: pipeline.says("/readyz", 503), "the api to see that Redis is gone")
    others = ("/healthz", "/metrics", "/openapi.json", "/requests/batch", "/validate")
    calls = [(method, path, good if takes else None) for method, path, takes in operations("503") if path not in others]
    at_once(lambda method, path, body: said(pipeline, 503, method, path, body), calls)
    reply = said(pipeline, 200, "POST", "/requests/batch", {"items": [good]})
    assert reply.json["items"][0]["status"] == 503


def full_of_work(pipeline, good):
    pipeline.call("POST", "/", {**good, "delay": "300d"})
    for path in ("/", "/requests"):
        said(pipeline, 503, "POST", path, good)


def becomes(pipeline, status, **headers):
    """Every call that may be answered so is, sooner or later."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}

    def answered(method, path):
        try:
            return pipeline.call(method, path, headers=given).status == status
        except (OSError, http.client.HTTPException):
            return False  # a silent connection may be cut before its request has come

    for method, path, _ in operations(str(status)):
        patience.until(lambda: answered(method, path), f"{method} {path} to be answered {status}")


def without_a_place(pipeline):
    """One connection of this address is open, and it may have one."""
    place = http.client.HTTPConnection("127.0.0.1", pipeline.port, timeout=patience.bound(None))

    def taken():
        place.close()  # an earlier one may not be gone yet
        try:
            place.request("GET", "/healthz")
            answer = place.getresponse()
            return answer.read() and answer.status == 200
        except (OSError, http.client.HTTPException):
            return False

    patience.until(taken, "the only place to be free")
    becomes(pipeline, 503)
    place.close()


def keys_file(folder):
    path = folder / "keys"
    path.write_text(f"alice:{hashlib.sha256(ALICES).hexdigest()}\nboss:{hashlib.sha256(BOSSES).hexdigest()}:admin\n")
    return path


def with_keys(pipeline, good):
    alice = {"Authorization": f"Bearer {ALICES.decode()}"}
    each(pipeline, 401)
    each(pipeline, 401, Authorization="Bearer nobody's")
    for path in ("/healthz", "/readyz", "/openapi.json"):
        said(pipeline, 200, "GET", path)
    for path in ("/queues", "/metrics"):
        said(pipeline, 403, "GET", path, **alice)
    for queue in ("requests", "responses"):
        for verb in ("pause", "resume"):
            said(pipeline, 403, "POST", f"/queues/{queue}/{verb}", **alice)
    request = said(pipeline, 202, "POST", "/", good, **alice).json["requestId"]
    assert said(pipeline, 200, "GET", f"/requests/{request}", **alice).json["owner"] == "alice"
    assert "hosts" not in said(pipeline, 200, "POST", "/validate", good, **alice).json


def delivered(receiver, oops):
    """What the callbacks were sent, as bodies to judge."""
    kinds = [seen.json for seen in receiver.requests]
    assert any("dataBase64" in one for one in kinds) and any("dataUrl" in one for one in kinds)
    bodies = [{"schema": "Delivery", "value": value, "fits": True} for value in kinds]
    return bodies + [{"schema": "FailureDelivery", "value": seen.json, "fits": True} for seen in oops.got(1)]


def each_kind_of_data(pipeline, provider, receiver, oops):
    provider.answers(Answer(body=b"\xff\x00", type="image/png"), path="/binary")
    provider.answers(Answer(body=b"x" * (MIB + 1), type="text/plain"), path="/large")
    provider.answers(404, path="/fails")
    for path in ("/binary", "/large"):
        pipeline.wait(pipeline.post(provider.url(path), receiver.url(), meta={"a": [1]}, labels=["kind"]), "delivered")
    link = next(seen.json["dataUrl"] for seen in receiver.requests if "dataUrl" in seen.json)
    said(pipeline, 200, "GET", link.partition(f":{pipeline.port}")[2])
    failed = pipeline.post(provider.url("/fails"), receiver.url(), failureCallbackUrl=oops.url())
    assert pipeline.wait(failed, "failed")["error"]
    said(pipeline, 409, "POST", f"/requests/{failed}/redeliver")


URL = "https://a.example/"
LEAST = {"provider": URL, "callbackUrl": URL}
REFUSED = [
    *({**LEAST, **more} for more in (
        {"no": 1}, {"provider": "ftp://a.example/"}, {"priority": "urgent"}, {"delay": -1}, {"delay": "1m1h"}, {"delay": ""},
        {"delay": 1, "notBefore": "2026-12-01T08:00:00Z"}, {"notBefore": "soon"}, {"dedupeMode": "drop"}, {"dedupeKey": ""},
        {"labels": ["a", "a"]}, {"labels": [""]}, {"labels": "a"}, {"fetch": {"retries": 101}}, {"fetch": {"retries": 1.5}},
        {"fetch": {"method": "TRACE"}}, {"fetch": {"schedule": []}}, {"fetch": {"no": 1}}, {"callback": {"method": "GET"}},
        {"fetch": {"headers": {"a b": "c"}}}, {"fetch": {"headers": {"a": "b\nc"}}}, {"fetch": {"headers": {"a": 1}}},
    )),
    {"provider": URL}, {"callbackUrl": URL}, [], "text", None,
]  # fmt: skip


def requests_that_it_forbids(pipeline):
    for body in REFUSED:
        said(pipeline, 422, "POST", "/", json.dumps(body))
    return [{"schema": "Request", "value": body, "fits": False} for body in REFUSED]


# ---- the tests ----------------------------------------------------------------------------------------


def test_every_call_and_status_is_seen_and_every_answer_fits(launch, peer, provider, receiver, tmp_path):
    good = {"provider": provider.url(), "callbackUrl": receiver.url()}
    oops = peer("oops")
    pipeline = launch()
    refusals_of_the_exchange(pipeline)
    refusals_by_query(pipeline)
    refusals_by_id(pipeline)
    bodies = requests_that_it_forbids(pipeline)
    request = submitted(pipeline, good)
    looked_at(pipeline, request)
    acted_on(pipeline, good, request)
    each_kind_of_data(pipeline, provider, receiver, oops)
    operated(pipeline)
    held_by_a_worker(pipeline, [peer("one"), peer("two")], receiver)
    other_api = lambda **settings: launch(redis=pipeline.redis, consumers=0, responders=0, **settings)
    full_of_work(other_api(QUEUE_MAX=1), good)
    without_a_place(other_api(CONNECTIONS_PER_ADDRESS=1))
    keys = keys_file(tmp_path)
    with_keys(other_api(API_KEYS=keys), good)
    one_a_second = other_api(API_KEYS=keys, API_RATE=1)
    becomes(one_a_second, 429, Authorization=f"Bearer {BOSSES.decode()}")
    without_redis(pipeline, good)
    told = openapi.verdict(described(), heard.answers, bodies + delivered(receiver, oops))
    assert not told["faults"], "\n".join(told["faults"][:20])
    assert not told["unseen"], told["unseen"]


def test_it_names_every_route_and_no_other():
    with open(os.path.join(ROOT, "services", "api", "routes.c"), encoding="utf-8") as file:
        rows = re.findall(r'^\t\{ "([A-Z]+)", "([^"]+)", ', file.read(), re.M)
    assert len(rows) > 20
    named = [(method.upper(), path) for path, item in described()["paths"].items() for method in item if method != "parameters"]
    assert sorted(named) == sorted(rows)


def test_it_is_served_as_it_was_written(pipeline):
    reply = said(pipeline, 200, "GET", "/openapi.json")
    assert reply.json == described() and reply.headers["Content-Type"] == "application/json"
    version = re.search(r'fetchback_build_info\{.*version="([^"]+)"', pipeline.get("/metrics").body.decode())
    assert described()["info"]["version"] == version.group(1)


def test_the_judge_sees_what_does_not_fit(pipeline):
    """An answer that was changed a little, each time in another way."""
    mine = Heard()
    mine.note("GET", "/queues", None, pipeline.get("/queues"))
    (sound,) = mine.answers
    told = openapi.verdict(described(), [sound])
    assert not told["faults"] and "GET /queues 200" not in told["unseen"]
    body = json.loads(sound["body"])
    without = {name: value for name, value in body.items() if name != "live"}
    changed = [
        {"body": json.dumps(without)}, {"body": json.dumps({**body, "live": "1"})}, {"body": json.dumps({**body, "more": 1})},
        {"status": 201}, {"path": "/queue"}, {"headers": {"content-type": "text/html"}}, {"status": 503},
    ]  # fmt: skip
    told = openapi.verdict(described(), [{**sound, **change} for change in changed])
    assert len({fault.split(":")[0] for fault in told["faults"]}) == len(changed), told["faults"]
    assert "GET /queues 429" in told["unseen"]
