"""What one can see of a request: its record, its log, its data, at any moment."""
import re

import pytest

from peers.pipeline import counted
from peers.web import Answer, Gate

UNKNOWN = "0190a3c4-0000-7000-8000-000000000000"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_the_record_of_a_delivered_request(pipeline, provider, receiver):
    provider.answers(503, {"a": 1})
    request = pipeline.post(provider.url("/p?secret=1"), receiver.url("/c?token=2"))
    record = pipeline.wait(request, "delivered")
    assert record["requestId"] == request
    assert record["provider"] == provider.url("/p?…")
    assert record["callbackUrl"] == receiver.url("/c?…")
    assert record["paused"] is False and record["priority"] == "default"
    for name in ("createdAt", "updatedAt", "finishedAt"):
        assert TIME.fullmatch(record[name]), record
    assert record["createdAt"] <= record["updatedAt"] == record["finishedAt"]
    assert counted(record) == [("fetch", 1), ("fetch", 2), ("deliver", 1)]
    for attempt in record["attempts"]:
        assert TIME.fullmatch(attempt["startedAt"]) and 0 <= attempt["ms"] < 20000
    assert record["attempts"][0]["status"] == 503
    assert record["attempts"][0]["error"]["code"] == "http_status"
    assert record["data"]["bytes"] == 8 and record["data"]["contentType"] == "application/json"
    assert TIME.fullmatch(record["data"]["expiresAt"])
    assert "error" not in record or record["error"] is None


def test_the_log_tells_the_story(pipeline, provider, receiver):
    provider.answers(503, 200)
    receiver.answers(500, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    log = pipeline.logs(request)
    assert [event["n"] for event in log] == list(range(1, len(log) + 1))
    assert {event["requestId"] for event in log} == {request}
    assert all(TIME.fullmatch(event["time"]) for event in log)
    assert [event["time"] for event in log] == sorted(event["time"] for event in log)
    assert {event["level"] for event in log} <= {"debug", "info", "warn", "error"}
    names = [event["event"] for event in log]
    assert names[0] == "accepted" and names[-1] == "delivered" and "fetched" in names
    told = [(event["stage"], event["attempt"]) for event in log if event.get("attempt")]
    assert told == [("fetch", 1), ("fetch", 2), ("deliver", 1), ("deliver", 2)]
    assert "503" in next(event for event in log if event.get("attempt") == 1)["reason"]
    services = {event["event"]: event["service"] for event in log}
    assert services["accepted"] == "api" and services["delivered"] == "responder"


def test_the_services_tell_the_same_story(pipeline, provider, receiver):
    provider.answers(503, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    told = [(pipeline.consumer, "fetch", [1, 2]), (pipeline.responder, "deliver", [1])]
    for service, stage, attempts in told:
        lines = service.wait_events(lambda event: event.get("requestId") == request, len(attempts))
        assert [line["attempt"] for line in lines if "attempt" in line] == attempts
        assert all(line["stage"] == stage and TIME.fullmatch(line["time"]) for line in lines)
    assert pipeline.api.wait_events(lambda event: event.get("requestId") == request, 1)


def test_the_states_on_the_way(pipeline, provider, receiver):
    fetching, delivering = Gate(), Gate()
    provider.answers(Answer(hold=fetching))
    receiver.answers(Answer(hold=delivering))
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    record = pipeline.wait(request, "fetching")
    assert record["attempts"] == [] and not record.get("waiting") and not record.get("data")
    assert pipeline.get(f"/requests/{request}/data").status == 404
    fetching.open()
    receiver.holds(1)
    record = pipeline.wait(request, "delivering")
    assert record["data"]["bytes"] == 11 and "finishedAt" not in record
    assert pipeline.data(request) == b'{"ok":true}'
    delivering.open()
    pipeline.wait(request, "delivered")


def test_what_waits_for_a_worker_says_so(launch, provider, receiver):
    pipeline = launch(consumers=0)
    request = pipeline.post(provider.url(), receiver.url())
    record = pipeline.record(request)
    assert record["state"] == "queued" and record["waiting"]["reason"] in ("no_worker", "queue")


@pytest.mark.parametrize("path", ["", "/logs", "/data"])
@pytest.mark.parametrize("unknown", [UNKNOWN, "nonsense", "..%2f..", "long"])
def test_what_is_not_there_is_404(pipeline, path, unknown):
    request_id = unknown if unknown != "long" else "x" * 3000
    reply = pipeline.get(f"/requests/{request_id}{path}")
    assert reply.status in (404, 414) and reply.json["status"] == reply.status
    assert reply.headers["Content-Type"] == "application/problem+json"


def test_the_log_is_ndjson_and_the_record_json(pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert pipeline.get(f"/requests/{request}").headers["Content-Type"] == "application/json"
    log = pipeline.get(f"/requests/{request}/logs")
    assert log.headers["Content-Type"] == "application/x-ndjson" and log.body.endswith(b"}\n")


def test_health_and_readiness(pipeline):
    assert pipeline.get("/healthz").status == 200
    assert pipeline.get("/readyz").status == 200


@pytest.mark.long
def test_many_attempts_are_trimmed_and_counted(launch, provider, receiver):
    schedule = ",".join(["1s"] * 100)
    pipeline = launch(TIME_SCALE=100000, FETCH_SCHEDULE=schedule, HOST_CONCURRENCY=4)
    provider.answers(500)
    request = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(request, "failed", timeout=60)
    assert len(provider.requests) == 101
    assert len(record["attempts"]) <= 64 and record["attempts"][-1]["n"] == 101
    assert len(pipeline.logs(request)) <= 200
