"""Nothing that a client or a host says can forge or break a log line, or put a secret into one."""
import json

import pytest

from peers.web import Answer

FORGED = 'x","level":"error","event":"forged'
NASTY = [
    "\x1b[31mred", 'quote"s', "back\\slash", "tab\there", "\u2028line", "del\x7f", "{'a':1}",
    FORGED,
]


def lines_of(pipeline):
    return [line for service in pipeline.services for line in service.log().split("\n") if line]


def all_are_whole(pipeline):
    for line in lines_of(pipeline):
        event = json.loads(line)
        assert {"time", "level", "service", "event"} <= set(event), line
        assert event["event"] != "forged" and len(line) < 4096
        assert line.isprintable(), line


def test_what_a_provider_says_stays_in_its_line(launch, provider, receiver):
    pipeline = launch()
    for i, nasty in enumerate(NASTY):
        header = nasty.encode().decode("latin-1").replace("\x7f", "")
        provider.answers(
            Answer(503, body=nasty, headers={"Retry-After": header, "X": header}, type=header),
            Answer(302, headers={"Location": f"http://127.0.0.1:1/{header}"}),
            Answer(404, body=nasty.encode() + b'\n{"event":"forged"}\n', type=header),
            path=f"/{i}",
        )
        pipeline.wait(pipeline.post(provider.url(f"/{i}"), receiver.url()), "failed")
    all_are_whole(pipeline)


def test_what_a_client_writes_stays_in_its_line(launch, provider, receiver):
    pipeline = launch()
    for path in ['/"quoted"', "/%0a%0d%1b[31m", "/" + "a" * 8000, "/'<>{}|^`"]:
        pipeline.wait(pipeline.post(provider.url(path), receiver.url(path)), "delivered")
    url = b'{"provider":"http://a\\u0000b/\\r\\n{\\"event\\":\\"forged\\"}"}'
    for body in (url, b"\x1b[2J\n{}\n", b'{"\\u001b[31m\\n":1}'):
        assert pipeline.call("POST", "/", body).status in (400, 422)
    pipeline.get("/%0a%7b%22event%22:%22forged%22%7d")
    pipeline.get("/requests/" + "%0a" * 50)
    all_are_whole(pipeline)


@pytest.mark.parametrize("status", [200, 404, 503])
def test_secrets_of_a_url_appear_nowhere(launch, provider, receiver, status):
    pipeline = launch(FETCH_SCHEDULE="1s", LOG_LEVEL="debug")
    provider.answers(status)
    request = pipeline.post(provider.url("/p?key=geheim1"), receiver.url("/c?token=geheim2"))
    pipeline.wait(request, "delivered" if status == 200 else "failed")
    provider.answers(Answer(302, headers={"Location": "http://user:geheim3@127.0.0.1/?x=geheim4"}))
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")
    pipeline.ask("http://me:geheim5@127.0.0.1/", receiver.url())
    story = [pipeline.record(request), pipeline.logs(request)]
    told = "\n".join([*lines_of(pipeline), json.dumps(story)])
    assert "geheim" not in told
    if status == 200:
        assert provider.requests[0].query == "key=geheim1"
        assert receiver.requests[0].query == "token=geheim2"


def test_text_lines_are_lines_as_well(launch, provider, receiver):
    pipeline = launch(LOG_FORMAT="text")
    provider.answers(Answer(404, body=b'\nforged\n\x1b[31m', type="a\x1b[31m"))
    pipeline.wait(pipeline.post(provider.url('/"x"'), receiver.url()), "failed")
    for line in lines_of(pipeline):
        assert line.isprintable() and not line.startswith("forged")
