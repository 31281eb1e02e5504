"""
The command `fetchback`: for people by default, for programs with --json, and exit codes that mean
something. up, logs -f, listen, verify and doctor have stories of their own.
"""
import csv
import io
import json
import os
import pty
import re
import select
import subprocess

import pytest

from peers import patience, stage
from peers.keys import Keys
from peers.pipeline import SANITIZERS, program
from peers.web import Answer

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 69
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


def run(*words, **env):
    done = subprocess.run([program("fetchback"), *words], env={**SANITIZERS, **env}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=patience.bound(None))
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fetchback(pipeline):
    return lambda *words: run(*words, FETCHBACK_API=pipeline.url)


def test_send_prints_the_id_and_nothing_else(fetchback, pipeline, provider, receiver):
    code, out, err = fetchback("send", provider.url(), receiver.url())
    assert (code, err) == (OK, "") and re.fullmatch(r"[0-9a-f-]{36}\n", out)
    pipeline.wait(out.strip(), "delivered")
    assert receiver.requests[0].json["requestId"] == out.strip()


def test_send_for_programs(fetchback, provider, receiver):
    code, out, _ = fetchback("send", "--json", provider.url(), receiver.url())
    assert code == OK and list(json.loads(out)) == ["requestId"]


def test_send_tells_every_fault_and_its_place(fetchback):
    code, out, err = fetchback("send", "ftp://example.com/", "http://user:word@example.com/")
    assert (code, out) == (FAILED, "")
    assert "422" in err and "/provider: " in err and "/callbackUrl: " in err


def test_send_says_what_a_request_may(fetchback, pipeline, provider, receiver):
    code, out, err = fetchback("send", provider.url(), receiver.url(), "--header", "X-One: a: b", "--header=X-Two:c",
                               "--label", "=1+1", "--label", "two words", "--priority", "low", "--after", "1ms")  # fmt: skip
    assert (code, err) == (OK, "")
    record = pipeline.wait(out.strip(), "delivered")
    assert (record["labels"], record["priority"]) == (["=1+1", "two words"], "low")
    seen = provider.requests[0].headers
    assert (seen["x-one"], seen["x-two"]) == ("a: b", "c")
    code, out, _ = fetchback("send", provider.url(), receiver.url(), "--after", "300d")
    assert code == OK and pipeline.record(out.strip())["state"] == "scheduled"
    code, out, err = fetchback("send", provider.url(), receiver.url(), "--header", "Host: a", "--priority", "top")
    assert code == FAILED and "/fetch/headers/Host: " in err and "/priority: " in err


def test_send_takes_a_file(fetchback, pipeline, provider, receiver, tmp_path):
    meta = '{"id":12345678901234567890,"x":[1.10,"}\\""]}'
    file = tmp_path / "request.json"
    file.write_text(f"""{{ "provider": "{provider.url()}", "meta": {meta}, "labels": ["one"],
        "fetch": {{"headers": {{"X-One": "a"}}}}, "callbackUrl": "http://nobody.example/" }}\n""")  # fmt: skip
    code, out, err = fetchback("send", "--file", str(file), provider.url("/other"), receiver.url(), "--label", "two")
    assert (code, err) == (OK, "")
    record = pipeline.wait(out.strip(), "delivered")
    assert record["labels"] == ["two"] and f'"meta":{meta}'.encode() in pipeline.get(f"/requests/{out.strip()}").body
    assert provider.requests[0].headers["x-one"] == "a" and provider.requests[0].path == "/other"
    assert receiver.requests[0].body.endswith(f',"meta":{meta}}}'.encode())
    code, out, err = fetchback("send", "--file", str(file), "--listen")
    assert code == OK and '"data":{"ok":true}' in out
    code, out, err = fetchback("send", "--file", str(file), "--header", "X-Two: b")
    assert (code, out) == (USAGE, "") and "--header" in err


def test_send_takes_a_file_from_stdin(pipeline, provider, receiver):
    text = json.dumps({"provider": provider.url(), "callbackUrl": receiver.url()})
    done = subprocess.run([program("fetchback"), "send", "--file", "-"], input=text, capture_output=True, text=True,
                          env={**SANITIZERS, "FETCHBACK_API": pipeline.url}, timeout=patience.bound(None))  # fmt: skip
    assert (done.returncode, done.stderr) == (OK, "")
    pipeline.wait(done.stdout.strip(), "delivered")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"provider":"http://a/"} x', " " * (1 << 20) + "{}"])
def test_send_takes_no_file_that_is_no_request(tmp_path, text):
    (tmp_path / "request.json").write_text(text)
    code, out, err = run("send", "--file", str(tmp_path / "request.json"), FETCHBACK_API="http://127.0.0.1:1")
    assert (code, out) == (USAGE, "") and "request.json" in err


def test_status_of_one_that_was_delivered(fetchback, pipeline, provider, receiver):
    provider.answers(503, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, err = fetchback("status", request)
    assert (code, err) == (OK, "")
    assert re.search(rf"^request +{request}$", out, re.MULTILINE)
    assert re.search(r"^state +delivered$", out, re.MULTILINE)
    assert re.search(r"^fetch +1 .* 503 +http_status", out, re.MULTILINE)
    assert re.search(r"^fetch +2 .* 200 +-$", out, re.MULTILINE)
    assert re.search(r"^deliver +1 .* 200 +-$", out, re.MULTILINE)


def test_status_says_why_it_waits(fetchback, launch, provider, receiver):
    slow = launch(TIME_SCALE=1)
    provider.answers(503)
    request = slow.post(provider.url(), receiver.url())
    patience.until(lambda: slow.record(request)["attempts"], "a first attempt")
    code, out, _ = run("status", request, "--api", slow.url + "/")
    assert code == OK and re.search(r"^waiting +backoff, until 20", out, re.MULTILINE)


def test_status_for_programs_is_what_the_api_says(fetchback, pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, _ = fetchback("status", request, "--json")
    assert code == OK and json.loads(out) == pipeline.record(request)


def test_status_shows_what_its_sender_said(fetchback, pipeline, provider, receiver):
    meta = {"order": 7, "of": ["a", None]}
    more = {"priority": "high", "labels": ["nightly", "of two words"], "meta": meta, "failureCallbackUrl": receiver.url("/oops")}
    provider.answers(404)
    request = pipeline.post(provider.url(), receiver.url(), **more)
    pipeline.wait(request, "failed")
    rows = fetchback("status", request)[1].splitlines()
    assert [row for row in rows if row[:10].strip() in ("priority", "labels", "", "meta")][:4] == [
        "priority   high", "labels     nightly", "           of two words", 'meta       {"order":7,"of":["a",null]}']  # fmt: skip
    failure = receiver.got(1)[0].headers["webhook-id"]
    code, out, _ = fetchback("status", failure)
    assert code == OK and f"\nparent     {request}\n" in out and "owner" not in out
    plain = pipeline.post(provider.url(), receiver.url())
    assert not re.search(r"^(priority|labels|meta|owner|parent) ", fetchback("status", plain)[1], re.M)


def test_status_shows_the_owner(peer):
    other = peer("other")
    other.answers({"requestId": NOBODY, "state": "failed", "owner": "billing"})
    assert "\nowner      billing\n" in run("status", NOBODY, "--api", other.url(""))[1]


def test_logs_tell_the_story_in_order(fetchback, pipeline, provider, receiver):
    provider.answers(503, 200)
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, _ = fetchback("logs", request)
    lines = out.splitlines()
    assert code == OK and len(lines) == len(pipeline.logs(request))
    assert "accepted" in lines[0] and "delivered" in lines[-1]
    assert any("503" in line and "attempt 1" in line for line in lines)


def test_logs_for_programs(fetchback, pipeline, provider, receiver):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    code, out, _ = fetchback("logs", "--json", request)
    assert code == OK and [json.loads(line) for line in out.splitlines()] == pipeline.logs(request)


VERBS = ["cancel", "pause", "resume", "redeliver", "refetch", "delete"]


@pytest.mark.parametrize("command", ["status", "logs", *VERBS])
def test_what_is_not_there_fails(fetchback, command):
    code, out, err = fetchback(command, NOBODY)
    assert (code, out) == (FAILED, "") and ("404" in err or f"{NOBODY}: There is no request" in err)


@pytest.mark.parametrize("words", [["send", "http://a/", "http://b/"], ["status", NOBODY], ["logs", NOBODY], ["list"],
                                   ["list", "--csv"], ["list", "--json"], ["list", "--watch"], ["queues"],
                                   ["queues", "pause", "requests"], ["cancel", "--all"], ["delete", "--all", "--yes"],
                                   ["delete", "--all", "--dry-run"],
                                   *[[verb, NOBODY] for verb in VERBS]])
def test_no_api_is_an_exit_code_of_its_own(programs, words):
    with stage.bound_socket() as nobody_listens:
        api = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        code, out, err = run(*words, "--api", api)
    assert (code, out) == (UNREACHABLE, "") and api in err


@pytest.mark.parametrize("words", [[], ["dance"], ["send"], ["send", "http://a/"], ["send", "a", "b", "c"], ["status"],
                                   ["send", "a", "b", "--delay", "1s"], ["send", "a", "b", "--port", "1"], ["send", "a", "b", "--header", "x"],
                                   ["send", "a", "b", "--header", "x: 1", "--header", "x: 2"], ["send", "a", "b", *["--label", "x"] * 65],
                                   ["send", "a", "b", "--label", b"\xff"], ["send", b"\xff", "b"], ["send", "--file", "/nowhere"],
                                   ["send", "--listen"], ["send", "a", "b", "--listen"],
                                   ["status", "../healthz"], ["logs", NOBODY.upper()], ["logs", NOBODY, "--follow-me"],
                                   ["status", NOBODY, "--api"], ["list", "word"], ["list", "--limit", "0"],
                                   ["list", "--csv", "--json"], ["list", "--watch", "--ndjson"], ["list", "--cursor", "x"],
                                   ["queues", "pause"], ["queues", "stop", "requests"], ["queues", "pause", "all"],
                                   ["queues", "resume", "requests", "--watch"], ["help", "dance"],
                                   *[[verb] for verb in VERBS], ["cancel", NOBODY, "--all"],
                                   ["delete", NOBODY, "--state", "failed"], ["pause", NOBODY, "1"],
                                   ["delete", "--all"], ["delete", "--state", "failed"], ["cancel", NOBODY, "--dry-run"]])
def test_a_command_line_that_makes_no_sense(programs, words):
    code, out, err = run(*words, FETCHBACK_API="http://127.0.0.1:1")
    assert (code, out) == (USAGE, "") and err


def test_who_lacks_a_key_is_told_where_to_put_it(launch, tmp_path):
    pipeline = launch(API_KEYS=Keys(tmp_path).write(("alice", "wonder")).path)
    code, out, err = run("list", FETCHBACK_API=pipeline.url)
    assert (code, out) == (FAILED, "") and err.endswith("\n  give one with --api-key-file FILE, or in FETCHBACK_API_KEY\n")
    assert run("list", FETCHBACK_API=pipeline.url, FETCHBACK_API_KEY="wonder")[0] == OK


@pytest.mark.parametrize("words, told", [
    (["staus"], 'fetchback: there is no command "staus"; did you mean status? See fetchback --help\n'),
    (["frobnicate"], 'fetchback: there is no command "frobnicate"; see fetchback --help\n'),
    (["list", "--foo"], "fetchback list: no flag --foo; see fetchback list --help\n"),
    (["list", "--state"], "fetchback list: a value is missing after --state; see fetchback list --help\n"),
    (["status", "--api"], "fetchback status: a value is missing after --api; see fetchback status --help\n"),
    (["status"], "fetchback status: it needs a request's id; see fetchback status --help\n"),
    *[([verb, "--until", when], f"fetchback {verb}: --until takes a time, 2026-12-01T08:00:00Z, or 2h for two hours ago\n")
      for verb, when in (("list", "yesterday"), ("delete", "30"))],
])  # fmt: skip
def test_a_slip_is_told_so_that_it_can_be_mended(programs, words, told):
    assert run(*words, FETCHBACK_API="http://127.0.0.1:1") == (USAGE, "", told)


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["help", "up"], ["help", "--man"], ["queues"], ["queues", "--watch"], ["list"],
                                   ["list", "--csv"], ["list", "--ndjson"], ["list", "--json"], ["list", "--watch"], ["status", "ID"],
                                   ["status", "ID", "--json"], ["logs", "ID"], ["logs", "-f", "ID"], ["health"]])  # fmt: skip
def test_output_that_is_lost_is_no_success(pipeline, provider, receiver, words):
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    command = [program("fetchback"), *(request if word == "ID" else word for word in words)]
    for to in (">/dev/full", ">&-"):
        done = subprocess.run(["sh", "-c", f'exec "$@" {to}', "sh", *command], capture_output=True, text=True,
                              env={**SANITIZERS, "FETCHBACK_API": pipeline.url}, timeout=patience.bound(None))  # fmt: skip
        assert (done.returncode, done.stdout) == (FAILED, "")
        assert done.stderr.splitlines()[-1].startswith("fetchback: not all of the output could be written")


# ---- list ---------------------------------------------------------------------------------------------

HEAD = ["request", "state", "age", "attempts", "host", "waiting"]


def table(out):
    """The rows of a table as lists of cells, its heading checked."""
    heading, *lines = out.splitlines()
    assert heading.split() == HEAD
    return [line.split() for line in lines]


@pytest.fixture
def three(pipeline, provider, receiver):
    """delivered, failed and delayed, in the order of their acceptance, under a label of the test's own."""
    label = f'of {receiver.url().split("/")[3]}, "it"'
    provider.answers(404, path="/fails")
    ids = []
    for path, more, state in [("/good", {}, "delivered"), ("/fails", {}, "failed"), ("/late", {"delay": "300d"}, "scheduled")]:
        ids.append(pipeline.post(provider.url(path), receiver.url(), labels=[label, "=1+1"], **more))
        pipeline.wait(ids[-1], state)
    return label, ids


def test_list_is_a_table_newest_first(fetchback, provider, receiver, three):
    label, (delivered, failed, late) = three
    code, out, err = fetchback("list", "--label", label)
    assert (code, err) == (OK, "")
    rows = table(out)
    assert [row[0] for row in rows] == [late, failed, delivered]
    assert [row[1] for row in rows] == ["scheduled", "failed", "delivered"]
    assert all(re.fullmatch(r"\d+s", row[2]) for row in rows)
    assert [row[3] for row in rows] == ["0/0", "1/0", "1/1"]
    host = lambda peer: peer.url().split("/")[2]
    assert [row[4] for row in rows] == [host(provider), host(provider), host(receiver)]
    assert rows[0][5:7] == ["scheduled", "until"] and rows[1][5:] == ["http_status"] and rows[2][5:] == ["-"]


@pytest.mark.parametrize("words, wanted", [
    (["--state", "failed"], [1]), (["--state=scheduled"], [2]), (["--since", "1h"], [2, 1, 0]), (["--until", "1h"], []),
    (["--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z"], []), (["--limit", "2"], [2, 1]),
])  # fmt: skip
def test_list_takes_the_filters_of_the_api(fetchback, three, words, wanted):
    label, ids = three
    code, out, _ = fetchback("list", "--label", label, *words)
    assert code == OK and [row[0] for row in table(out)] == [ids[i] for i in wanted]


def test_list_by_host(fetchback, pipeline, three, provider, receiver, peer):
    label, (delivered, _, _) = three
    other = peer("other")
    elsewhere = pipeline.post(provider.url("/good"), other.url(), labels=[label])
    pipeline.wait(elsewhere, "delivered")
    for callback, wanted in ((receiver, delivered), (other, elsewhere)):
        host = callback.url().split("/")[2]  # which another test's peer may have had before
        code, out, _ = fetchback("list", "--state", "delivered", "--host", host, "--label", label)
        assert code == OK and [row[0] for row in table(out)] == [wanted]


def test_list_tells_a_fault_of_the_filters(fetchback):
    code, out, err = fetchback("list", "--state", "dancing", "--label", "x" * 65)
    assert (code, out) == (FAILED, "") and "state: " in err and "label: " in err


def test_list_for_programs_is_a_page_of_the_api(fetchback, pipeline, three):
    label, ids = three
    code, out, _ = fetchback("list", "--json", "--label", label, "--limit", "2")
    page = json.loads(out)
    assert code == OK and [one["requestId"] for one in page["requests"]] == ids[:0:-1]
    assert page["requests"][1] == pipeline.record(ids[1])
    code, out, _ = fetchback("list", "--json", "--label", label, "--cursor", page["cursor"])
    rest = json.loads(out)
    assert code == OK and [one["requestId"] for one in rest["requests"]] == ids[:1] and "cursor" not in rest


def test_csv_has_a_row_each_and_escapes(fetchback, three, provider):
    label, (delivered, failed, _) = three
    code, out, err = fetchback("list", "--csv", "--label", label)
    assert (code, err) == (OK, "")
    rows = {row["requestId"]: row for row in csv.DictReader(io.StringIO(out, newline=""), strict=True)}
    assert len(rows) == 3 and all(set(row) == set(rows[failed]) and None not in row.values() for row in rows.values())
    good, bad = rows[delivered], rows[failed]
    assert json.loads(good["labels"]) == [label, "=1+1"] and good["labels"][0] == "[" and bad["labels"] != "" and good["provider"] == provider.url("/good")
    assert (good["state"], good["fetchAttempts"], good["deliverAttempts"]) == ("delivered", "1", "1")
    assert (bad["state"], bad["error"], bad["finishedAt"] != "") == ("failed", "http_status", True)


@pytest.mark.parametrize("begins", "=+-@")
def test_a_cell_is_no_formula(peer, begins):
    other = peer("other")
    record = {"requestId": NOBODY, "error": {"message": f'{begins}1+1,"'}}
    other.answers({"requests": [record, {"requestId": NOBODY, "labels": []}]})
    code, out, _ = run("list", "--csv", "--api", other.url(""))
    first, second = csv.DictReader(io.StringIO(out, newline=""))
    assert code == OK and first["errorMessage"] == f"""'{begins}1+1,\"""" and second["labels"] == ""


def test_exports_go_through_all_pages(fetchback, pipeline, provider, receiver):
    label = receiver.url().split("/")[3]  # the host alone may have been another test's before
    item = {"provider": provider.url(), "callbackUrl": receiver.url(), "labels": [label]}
    items = [one for _ in range(2)
             for one in pipeline.call("POST", "/requests/batch", {"items": [item] * 550}).json["items"]]  # fmt: skip
    ids = [one["requestId"] for one in items]
    mine = ("--host", provider.url().split("/")[2], "--label", label)
    code, out, _ = fetchback("list", "--ndjson", *mine)
    told = [json.loads(line)["requestId"] for line in out.splitlines()]
    assert code == OK and len(told) == 1100 and set(told) == set(ids)
    code, out, _ = fetchback("list", "--csv", *mine, "--limit", "1050")
    assert code == OK and len(out.splitlines()) == 1051
    code, out, err = fetchback("list", *mine)
    assert code == OK and len(table(out)) == 100 and "--limit" in err


# ---- one request, or all that filters select -------------------------------------------------------------


def test_each_verb_tells_what_became_of_it(fetchback, pipeline, provider, receiver):
    late = pipeline.post(provider.url(), receiver.url(), delay="300d")
    assert fetchback("pause", late) == (OK, f"{late}  paused\n", "")
    assert pipeline.record(late)["paused"]
    assert fetchback("resume", late) == (OK, f"{late}  scheduled\n", "")
    assert not pipeline.record(late)["paused"]
    assert fetchback("cancel", late) == (OK, f"{late}  cancelled\n", "")
    code, out, err = fetchback("pause", late)
    assert (code, out) == (FAILED, "") and err == f"fetchback pause: {late}: The request is cancelled: it has ended.\n"
    assert fetchback("refetch", late)[0] == OK
    pipeline.wait(late, "delivered")
    assert len(receiver.requests) == 1
    assert fetchback("redeliver", late)[0] == OK
    patience.until(lambda: len(receiver.requests) == 2, "a second delivery")
    pipeline.wait(late, "delivered")
    assert fetchback("delete", late) == (OK, f"{late}  deleted\n", "")
    assert fetchback("status", late)[0] == FAILED


def test_one_that_is_refused_does_not_keep_the_others(fetchback, pipeline, provider, receiver):
    one, other = (pipeline.post(provider.url(), receiver.url(), delay="300d") for _ in range(2))
    code, out, err = fetchback("cancel", one, NOBODY, other)
    assert code == FAILED and out == f"{one}  cancelled\n{other}  cancelled\n" and NOBODY in err


def test_verbs_for_programs(fetchback, pipeline, provider, receiver):
    late = pipeline.post(provider.url(), receiver.url(), delay="300d")
    code, out, _ = fetchback("cancel", "--json", late)
    assert code == OK and json.loads(out) == pipeline.record(late)
    code, out, _ = fetchback("delete", "--json", late)
    assert code == OK and json.loads(out) == {"requestId": late}


def post_late(pipeline, provider, receiver, label, count):
    item = {"provider": provider.url(), "callbackUrl": receiver.url(), "labels": [label], "delay": "300d"}
    for first in range(0, count, 1000):
        items = [item] * min(1000, count - first)
        reply = pipeline.call("POST", "/requests/batch", {"items": items})
        assert reply.status == 200 and all(one["status"] == 202 for one in reply.json["items"])


def test_filters_change_page_after_page(fetchback, pipeline, provider, receiver):
    post_late(pipeline, provider, receiver, "many", 1100)
    code, out, err = fetchback("cancel", "--label", "many")
    assert (code, out) == (OK, "1100 matched, 1100 changed, 0 refused\n")
    assert err == "1000 matched, 1000 changed, 0 refused\n"
    code, out, _ = fetchback("list", "--label", "many", "--state", "cancelled", "--ndjson")
    assert len(out.splitlines()) == 1100
    code, out, _ = fetchback("redeliver", "--label", "many", "--limit", "3")
    assert (code, out) == (USAGE, "")
    assert fetchback("delete", "--label", "many", "--dry-run") == (OK, "1100 matched\n", "")
    code, out, err = fetchback("delete", "--label", "many", "--yes", "--json")
    assert code == OK and json.loads(out) == {"matched": 1100, "changed": 1100, "refused": 0}
    code, out, _ = fetchback("list", "--label", "many")
    assert code == OK and table(out) == []


def test_filters_count_what_is_refused(fetchback, pipeline, provider, receiver):
    post_late(pipeline, provider, receiver, "some", 3)
    pipeline.wait(pipeline.post(provider.url(), receiver.url(), labels=["some"]), "delivered")
    for verb in ["pause", "resume", "cancel"]:
        assert fetchback(verb, "--label", "some")[:2] == (OK, "4 matched, 3 changed, 1 refused\n")
    assert fetchback("refetch", "--label", "some", "--state", "delivered")[:2] == (OK, "1 matched, 1 changed, 0 refused\n")


def test_numbers_are_what_the_client_wrote(fetchback, pipeline, provider, receiver):
    """No command fails for an integer beyond 64 bits, and none writes a number anew."""
    meta = '{"id":12345678901234567890,"price":1.10,"deep":[{"[":"]\\"}"},-0,1E2]}'
    body = f'{{"provider":"{provider.url()}","callbackUrl":"{receiver.url()}","delay":"300d","labels":["numbers"],"meta":{meta}}}'
    late = pipeline.call("POST", "/requests", body.encode()).json["requestId"]
    page = ["--label", "numbers"]
    for words in (["status", late], ["list", *page], ["list", "--csv", *page]):
        code, out, err = fetchback(*words)
        assert (code, err) == (OK, "") and late in out
    for words in (["status", late], ["list", *page], ["pause", late], ["resume", late]):
        code, out, err = fetchback(*words, "--json")
        assert (code, err) == (OK, "") and f'"meta":{meta}' in out
    code, out, err = fetchback("list", "--ndjson", *page)
    assert (code, err, out.encode()) == (OK, "", pipeline.get(f"/requests/{late}").body + b"\n")
    for verb, *more in (["pause"], ["resume"], ["cancel"], ["delete", "--yes"]):
        assert fetchback(verb, *page, *more)[:2] == (OK, "1 matched, 1 changed, 0 refused\n")


@pytest.mark.parametrize("words, status", [
    (["send", "ftp://x", "ftp://y"], 422), (["list", "--cursor", "x"], 422), (["status", NOBODY], 404), (["logs", NOBODY], 404),
    (["logs", "-f", NOBODY], 404), (["cancel", "--state", "x"], 422), (["delete", "--state", "x", "--yes"], 422),
])  # fmt: skip
def test_a_refusal_for_programs_is_what_the_api_says(fetchback, words, status):
    code, out, err = fetchback(*words, "--json")
    problem = json.loads(out)
    assert code == FAILED and (problem["status"], problem["type"]) == (status, "about:blank") and problem["detail"] in err


def test_of_many_for_programs_each_has_a_line(fetchback, pipeline, provider, receiver):
    late = pipeline.post(provider.url(), receiver.url(), delay="300d")
    code, out, err = fetchback("pause", NOBODY, late, "--json")
    refused, paused = map(json.loads, out.splitlines())
    assert code == FAILED and refused["status"] == 404 and paused == pipeline.record(late) and NOBODY in err


def test_what_is_no_object_is_not_passed_on(peer):
    other = peer("other")
    other.answers(Answer(404, b"<html>"))
    code, out, err = run("status", NOBODY, "--json", "--api", other.url(""))
    assert (code, out) == (FAILED, "") and "404" in err


# ---- queues ----------------------------------------------------------------------------------------------


def test_queues_tell_and_hold(launch, provider, receiver):
    pipeline = launch()
    ask = lambda *words: run("queues", *words, FETCHBACK_API=pipeline.url)
    code, out, err = ask("pause", "requests")
    assert (code, err) == (OK, "") and re.search(r"^requests .* paused$", out, re.M)
    request = pipeline.post(provider.url(), receiver.url())
    code, out, _ = ask()
    heading, requests, responses, _, totals = out.splitlines()
    assert heading.split() == ["queue", "depth", "oldest", "delayed", "leased", "workers", "state"]
    assert requests.split()[:2] == ["requests", "1"] and requests.split()[-1] == "paused"
    assert responses.split() == ["responses", "0", "-", "0", "0", "1", "runs"]
    assert totals == "1 live, 0 dead letters, 0 bytes to deliver"
    code, out, _ = ask("--json")
    told = json.loads(out)
    assert code == OK and told["requests"]["paused"] and told["requests"]["depth"] == told["live"] == 1
    assert set(pipeline.get("/queues").json) == set(told)
    assert ask("resume", "requests")[0] == OK
    pipeline.wait(request, "delivered")


class Screen:
    """A command on a terminal of its own: what it has written."""

    def __init__(self, *words, **env):
        self.text, self.status = "", None
        self.pid, self.wire = pty.fork()
        if self.pid == 0:
            os.execve(program("fetchback"), ["fetchback", *words], {**SANITIZERS, **env})

    def reads(self):
        while select.select([self.wire], [], [], 0)[0]:
            try:
                piece = os.read(self.wire, 65536)
            except OSError:  # it has ended
                piece = b""
            if not piece:
                return self.text
            self.text += piece.decode()
        return self.text

    def wait(self, condition, what):
        patience.until(lambda: condition(self.reads()), lambda: f"{what}: {self.text!r}")

    def answers(self, text):
        os.write(self.wire, text.encode())

    def has_ended(self):
        self.reads()
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def code(self):
        patience.until(self.has_ended, lambda: f"the command to end: {self.text!r}")
        self.reads()  # what it said last
        return os.waitstatus_to_exitcode(self.status)

    def close(self):
        if self.status is None:
            self.answers("\x03")  # Ctrl-C
        patience.until(self.has_ended, "the command to end by Ctrl-C")
        os.close(self.wire)


@pytest.mark.parametrize("verb", ["delete", "cancel"])
def test_a_person_is_asked_before_many_are_changed(cast, fetchback, pipeline, provider, receiver, verb):
    label = f"asked-{verb}"
    post_late(pipeline, provider, receiver, label, 2)
    left = lambda: len(table(fetchback("list", "--label", label, "--state", "scheduled")[1]))
    for answer in ("\n", "no\n", "yesterday\n", "\x04"):
        screen = cast(Screen(verb, "--label", label, FETCHBACK_API=pipeline.url))
        screen.wait(lambda text: f"{verb} 2 requests? [y/N] " in text, "the question")
        screen.answers(answer)
        assert screen.code() == FAILED and f"fetchback {verb}: nothing was changed" in screen.text
        assert left() == 2
    screen = cast(Screen(verb, "--label", label, FETCHBACK_API=pipeline.url))
    screen.wait(lambda text: "[y/N]" in text, "the question")
    screen.answers("y\n")
    assert screen.code() == OK and "2 matched, 2 changed, 0 refused" in screen.text and left() == 0
    screen = cast(Screen("resume", "--label", label, FETCHBACK_API=pipeline.url))
    assert screen.code() == OK and "[y/N]" not in screen.text, "nobody is asked what can be undone"


def test_yes_asks_nobody(cast, fetchback, pipeline, provider, receiver):
    post_late(pipeline, provider, receiver, "unasked", 2)
    screen = cast(Screen("delete", "--label", "unasked", "--yes", FETCHBACK_API=pipeline.url))
    assert screen.code() == OK and "[y/N]" not in screen.text and "2 matched, 2 changed" in screen.text


def test_watch_draws_over_what_it_drew(cast, launch, provider, receiver):
    pipeline = launch()
    screen = cast(Screen("queues", "--watch", FETCHBACK_API=pipeline.url))
    screen.wait(lambda text: "0 live" in text, "a first picture")
    pipeline.post(provider.url(), receiver.url(), delay="300d")
    screen.wait(lambda text: "1 live" in text, "a later picture")
    assert screen.text.count("\x1b[2J") == 1 and screen.text.count("\x1b[H") >= 2


def test_a_watch_outlives_the_api(cast, launch, provider, receiver):
    pipeline = launch()
    screen = cast(Screen("list", "--watch", "--state", "failed", FETCHBACK_API=pipeline.url))
    screen.wait(lambda text: "waiting" in text, "a first picture")
    assert pipeline.api.end() == 0
    screen.wait(lambda text: "no answer from" in text, "a word on it")
    pipeline.start_api()
    provider.answers(404)
    failed = pipeline.post(provider.url(), receiver.url())
    screen.wait(lambda text: failed in text, "the api to be seen again")


@pytest.mark.parametrize("env, colored", [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_colors_are_for_terminals_and_can_be_refused(cast, pipeline, three, env, colored):
    label, _ = three
    screen = cast(Screen("list", "--watch", "--label", label, FETCHBACK_API=pipeline.url, **env))
    screen.wait(lambda text: "delivered" in text, "the list")
    assert ("\x1b[32mdelivered" in screen.text) == colored


# ---- help ------------------------------------------------------------------------------------------------


def commands():
    """Every one that the first help names."""
    found = re.findall(r"^  ([a-z]+) ", run("--help")[1], re.M)
    assert len(found) > 10
    return found


def test_help_answers_with_an_example_each(programs):
    for words in (["--help"], ["help"]):
        code, out, err = run(*words)
        assert (code, err) == (OK, "") and "usage: fetchback" in out
    for name in commands():
        code, out, err = run(name, "--help")
        assert (code, err) == (OK, "") and "usage: fetchback" in out and f"\nExample: fetchback {name}" in out
        assert run("help", name) == (OK, out, "")


def test_the_man_page_has_every_command(programs):
    code, out, err = run("help", "--man")
    assert (code, err) == (OK, "") and out.startswith(".TH FETCHBACK 1 ")
    assert re.findall(r"^\.SS fetchback ([a-z]+)$", out, re.M) == commands()
    macros = {".br", ".TH", ".SH", ".SS", ".B", ".I", ".nf", ".fi"}
    assert {line.split()[0] for line in out.splitlines() if line.startswith((".", "'"))} <= macros


@pytest.mark.parametrize("typed, offered", [
    ("fetchback ca", {"cancel"}), ("fetchback list --st", {"--state"}), ("fetchback list --state f", {"fetching", "fetched", "failed"}),
    ("fetchback queues pause re", {"requests", "responses"}), ("fetchback queues p", {"pause"}),
    ("fetchback doctor --re", {"--repair", "--redis-url"}), ("fetchback delete --al", {"--all"}), ("fetchback up --data", {"--data-dir", "--data-max"}),
    ("fetchback up --host", {"--host-concurrency", "--host-rate", "--hosts-file"}), ("fetchback up --f", {"--fetch-schedule", "--fetch-timeout"}),
    ("fetchback help li", {"list", "listen"}), ("fetchback help queues --m", {"--man"}), ("fetchback help queues", {"queues"}),
    ("fetchback send --priority ", {"high", "default", "low"}), ("fetchback send --hea", {"--header"}),
])  # fmt: skip
def test_bash_completes(programs, tmp_path, typed, offered):
    completion = tmp_path / "completion"
    completion.write_text(run("help", "--completion")[1])
    words = [program("fetchback"), *typed.split(" ")[1:]]
    script = f'source {completion}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fetchback; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=patience.bound(None))
    assert done.stderr == "" and set(done.stdout.split()) == offered


def test_what_is_given_is_no_more_than_what_help_tells(programs):
    """A word that begins like a flag, in what help shows, is taken."""
    for name in ["list", "queues", *VERBS]:
        for flag in set(re.findall(r"(?<![\w-])--[a-z-]+", run(name, "--help")[1])):
            code, _, err = run(name, flag, "--nothing", "--nothing")
            assert code == USAGE and "no flag --nothing;" in err, (name, flag, err)


def test_another_server_is_told_from_the_api(peer):
    other = peer("other")
    other.answers(Answer(200, b"<html>"))
    code, out, err = run("status", NOBODY, "--api", other.url(""))
    assert (code, out) == (FAILED, "") and "not as the api does" in err


def test_control_characters_do_not_reach_the_terminal(peer):
    other = peer("other")
    other.answers(Answer(200, json.dumps({"requestId": NOBODY, "state": "failed", "error": {"code": "x", "message": "\x1b[2J\x9b1m"}}).encode()))
    code, out, _ = run("status", NOBODY, "--api", other.url(""))
    assert code == OK and "\x1b" not in out and "\x9b" not in out and "?[2J" in out


def test_control_characters_of_a_list_do_not_either(peer):
    other = peer("other")
    evil = "\x1b[2J\x9b1m\n"
    record = {"requestId": evil, "state": evil, "provider": f"http://{evil}/", "labels": [evil], "waiting": {"reason": evil, "until": evil}}
    other.answers(Answer(200, json.dumps({"requests": [record]}).encode()))
    for words in (["list"], ["list", "--csv"], ["list", "--ndjson"]):
        code, out, _ = run(*words, "--api", other.url(""))
        assert code == OK and "\x1b" not in out and len(out.splitlines()) == (1 if "--ndjson" in words else 2)
        assert "\x9b" not in out or "--ndjson" in words, "JSON leaves them to whoever reads it"


@pytest.mark.parametrize("words, lines", [(["status", NOBODY], 2), (["logs", NOBODY], 1), (["list"], 2), (["list", "--csv"], 2)])
def test_text_can_not_turn_or_hide_on_the_terminal(peer, words, lines):
    other = peer("other")
    evil = "\u202etxt\u2066.\u200f\u200b\xad\ufeff\u2028\U000e0041\x85"
    good = "\xe9\u65e5\u200d\U0001f680"
    record = {"requestId": NOBODY, "state": evil + good, "data": {"bytes": 1, "contentType": evil}, "labels": [evil],
              "attempts": [{"stage": evil, "startedAt": evil}], "error": {"message": evil}}  # fmt: skip
    event = {"time": evil + good, "level": evil, "service": evil, "event": evil, "stage": evil, "reason": evil}
    other.answers(Answer(200, json.dumps(event if words[0] == "logs" else {**record, "requests": [record]})))
    code, out, err = run(*words, "--api", other.url(""))
    assert (code, err) == (OK, "") and good in out and "?txt?.??????" in out
    assert not set(evil) & set(out) - set("txt.") and len(out.splitlines()) >= lines
