"""Many requests in one call: each for itself, in order."""
import http.client
import json

import pytest

from peers import patience


def send(pipeline, items, **more):
    return pipeline.call("POST", "/requests/batch", {"items": items, **more})


def announce(pipeline, path, length):
    """Only says how long the body would be: the status."""
    wire = http.client.HTTPConnection("127.0.0.1", pipeline.port, timeout=patience.bound(30))
    wire.putrequest("POST", path)
    wire.putheader("Content-Type", "application/json")
    wire.putheader("Content-Length", str(length))
    wire.endheaders()
    status = wire.getresponse().status
    wire.close()
    return status


def fit(provider, receiver, **more):
    return {"provider": provider.url(), "callbackUrl": receiver.url(), **more}


def test_each_is_accepted_or_refused_for_itself_in_order(pipeline, provider, receiver):
    good = fit(provider, receiver)
    reply = send(pipeline, [good, {**good, "retries": 1}, good, 7, {"provider": "ftp://x/"}, good])
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/json"
    items = reply.json["items"]
    assert [item["status"] for item in items] == [202, 422, 202, 422, 422, 202]
    assert items[1]["problem"]["errors"] == [{"pointer": "/items/1/retries", "detail": "is not a known field"}]
    assert items[3]["problem"]["errors"][0]["pointer"] == "/items/3"
    assert {fault["pointer"] for fault in items[4]["problem"]["errors"]} == {"/items/4/provider", "/items/4/callbackUrl"}
    for item in items:
        assert set(item) == ({"status", "requestId"} if item["status"] == 202 else {"status", "problem"})
    ids = [item["requestId"] for item in items if item["status"] == 202]
    pipeline.wait_all(ids)
    listed = [record["requestId"] for record in pipeline.get("/requests?limit=3").json["requests"]]
    assert listed == ids[::-1]


def test_keys_count_inside_one_batch(pipeline, provider, receiver):
    one = fit(provider, receiver, dedupeKey="batch", dedupeWindow="10h")
    items = send(pipeline, [one, one, {**one, "provider": provider.url("/other")}]).json["items"]
    assert [item["status"] for item in items] == [202, 202, 422]
    assert items[1]["deduplicated"] is True and items[0]["requestId"] == items[1]["requestId"]
    assert "key" in items[2]["problem"]["detail"]
    pipeline.wait(items[0]["requestId"], "delivered")


def test_a_thousand_and_not_one_more(launch, provider, receiver):
    pipeline = launch()
    items = send(pipeline, [fit(provider, receiver, meta=i) for i in range(1000)]).json["items"]
    assert {item["status"] for item in items} == {202} and len({item["requestId"] for item in items}) == 1000
    pipeline.wait_all([item["requestId"] for item in items])
    seen = {one.id: one.json["meta"] for one in receiver.got(1000)}
    assert [seen[item["requestId"]] for item in items] == list(range(1000))
    reply = send(pipeline, [fit(provider, receiver)] * 1001)
    assert reply.status == 422 and list(reply.faults) == ["/items"]
    assert send(pipeline, []).json == {"items": []}


def test_sixteen_mebibytes(launch, provider, receiver):
    pipeline = launch(consumers=0)
    item = fit(provider, receiver, fetch={"method": "POST", "body": "x" * 200_000})
    body = json.dumps({"items": [item] * 80})
    reply = pipeline.call("POST", "/requests/batch", body + " " * (16 * 1024 * 1024 - len(body)))
    assert [one["status"] for one in reply.json["items"]] == [202] * 80
    for path, most in (("/requests/batch", 16), ("/", 1), ("/validate", 1)):
        assert announce(pipeline, path, most * 1024 * 1024 + 1) == 413


def test_faults_of_all_items_are_too_many_to_name(launch):
    """The answer stays bounded, and every item has its status."""
    pipeline = launch(consumers=0)
    wrong = {f"{'x' * 100}{i}": 1 for i in range(60)}
    reply = send(pipeline, [{**wrong, "labels": [""] * 16}] * 1000)
    assert reply.status == 200 and len(reply.body) < 12 * 1024 * 1024
    assert [item["status"] for item in reply.json["items"]] == [422] * 1000


@pytest.mark.parametrize(
    "body, status, pointer",
    [
        ("", 400, None), ('{"items": [}', 400, None), ('{"items": []} x', 400, None), ("[]", 422, ""),
        ("{}", 422, "/items"), ('{"items": {}}', 422, "/items"), ('{"items": [], "more": 1}', 422, "/more"),
        ('{"items": [], "items": []}', 422, "/items"), ('{"\\u0069tems": []}', 422, "/items"),
    ],
)
def test_what_is_no_batch(pipeline, body, status, pointer):
    reply = pipeline.call("POST", "/requests/batch", body)
    assert reply.status == status, reply
    if pointer is not None:
        assert pointer in reply.faults


def test_a_batch_is_not_stored_while_redis_is_away(launch, provider, receiver):
    pipeline = launch()
    pipeline.redis.kill()
    patience.until(lambda: not pipeline.ready(), "the api to see it")
    items = send(pipeline, [fit(provider, receiver)] * 2).json["items"]
    assert [item["status"] for item in items] == [503, 503]
    pipeline.redis.restart()
    patience.until(pipeline.ready, "the api to be ready again")
