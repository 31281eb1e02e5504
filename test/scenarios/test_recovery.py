"""What fails and then works is delivered, at either stage, whatever the failure was."""
import pytest

from peers.web import Answer

FAILURES = {
    "503": (503, "http_status"),
    "429": (429, "http_status"),
    "reset": (Answer(reset=True), "reset"),
    "closed without an answer": (Answer(raw=b""), "reset"),
    "cut in the head": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), "reset truncated"),
    "no HTTP at all": (Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), "reset truncated"),
}


@pytest.mark.parametrize("failure, code", FAILURES.values(), ids=FAILURES)
def test_a_provider_that_fails_twice_is_asked_again(pipeline, provider, receiver, failure, code):
    provider.answers(failure, failure, {"third": "time"})
    request = pipeline.post(provider.url(), receiver.url())
    assert receiver.got(1)[0].json["data"] == {"third": "time"}
    record = pipeline.wait(request, "delivered")
    first, second, third = [one for one in record["attempts"] if one["stage"] == "fetch"]
    assert first["error"]["code"] == second["error"]["code"]
    assert first["error"]["code"] in code.split()
    assert third["status"] == 200 and "error" not in third
    assert len(provider.requests) == 3


@pytest.mark.parametrize("failure, code", FAILURES.values(), ids=FAILURES)
def test_a_receiver_that_fails_twice_is_told_again(pipeline, provider, receiver, failure, code):
    receiver.answers(failure, failure, 200)
    request = pipeline.post(provider.url(), receiver.url())
    deliveries = receiver.got(3)
    record = pipeline.wait(request, "delivered")
    assert len({delivery.body for delivery in deliveries}) == 1
    assert {delivery.headers["webhook-id"] for delivery in deliveries} == {request}
    assert [delivery.headers["webhook-attempt"] for delivery in deliveries] == ["1", "2", "3"]
    delivers = [one for one in record["attempts"] if one["stage"] == "deliver"]
    assert delivers[0]["error"]["code"] in code.split() and delivers[2]["status"] == 200
    assert len(provider.requests) == 1, "a failed delivery fetches nothing anew"


def test_a_provider_that_is_away_is_found_when_it_comes(pipeline, provider, receiver):
    provider.down()
    request = pipeline.post(provider.url(), receiver.url())
    waited = pipeline.wait_attempts(request, "fetch", 2)
    assert waited[0]["error"]["code"] == "connect"
    provider.up()
    pipeline.wait(request, "delivered")


def test_a_receiver_that_is_away_is_found_when_it_comes(pipeline, provider, receiver):
    receiver.down()
    request = pipeline.post(provider.url(), receiver.url())
    waited = pipeline.wait_attempts(request, "deliver", 2)
    assert waited[0]["error"]["code"] == "connect"
    receiver.up()
    pipeline.wait(request, "delivered")
    assert len(provider.requests) == 1


def test_a_body_cut_short_is_fetched_again_and_never_delivered(pipeline, provider, receiver):
    whole = b'{"whole":"' + b"x" * 30000 + b'"}'
    provider.answers(
        Answer(body=whole, cut=20000),
        Answer(body=whole, cut=0),
        Answer(body=whole, cut=20000, framing="chunked"),
        Answer(body=whole, cut=20000, reset=True),
        Answer(body=whole),
    )
    request = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(request, "delivered")
    codes = [one["error"]["code"] for one in record["attempts"][:4]]
    assert codes[:3] == ["truncated"] * 3 and codes[3] in ("reset", "truncated")
    assert [seen.json["data"]["whole"] for seen in receiver.requests] == ["x" * 30000]


def test_a_receiver_that_answers_before_it_has_read_all_is_told_again(launch, provider, receiver):
    pipeline = launch(CALLBACK_TIMEOUT="3s")  # the first takes all of it
    # As a JSON string six times as long: more than the kernel takes in on the way.
    provider.answers(Answer(body=b"\x01" * (1 << 20), type="text/plain"))
    receiver.hasty = [200]
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    assert len(receiver.requests) == 2 and receiver.requests[1].json["data"] == "\x01" * (1 << 20)


def test_when_the_schedule_is_used_up_the_request_fails_and_says_why(launch, provider, receiver):
    pipeline = launch(FETCH_SCHEDULE="1s,2s", CALLBACK_SCHEDULE="1s,2s,3s")
    provider.answers(503)
    fetched_never = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(fetched_never, "failed")
    assert len(provider.requests) == 3 and not receiver.requests
    assert record["error"]["code"] == "http_status" and "503" in record["error"]["message"]
    assert record["finishedAt"] and "waiting" not in record
    provider.answers(200)
    receiver.answers(500)
    delivered_never = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(delivered_never, "failed")
    assert len(receiver.requests) == 4 and record["error"]["code"] == "http_status"
    assert pipeline.data(delivered_never), "a dead letter keeps what was fetched"
