"""`fetchback doctor`: what stands somewhere is left alone; what stands nowhere is found and put back."""
import json
import os
import subprocess
import threading

import pytest

from peers import patience, scripts, stage
from peers.keys import Keys, keyed
from peers.pipeline import SANITIZERS, program
from peers.redis import Redis
from peers.web import Answer

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 69
TAG = "{f0}:"


def doctor(redis_url, *words, **env):
    given = {**SANITIZERS, **({"REDIS_URL": redis_url} if redis_url else {}), **env}
    done = subprocess.run([program("fetchback"), "doctor", *words], env=given, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=patience.bound(60))
    return done.returncode, done.stdout, done.stderr


def diagnosis(pipeline, *words):
    """What it says for programs; its exit code must fit."""
    code, out, err = doctor(pipeline.redis.url, "--json", *words)
    assert err == "", err
    said = json.loads(out)
    ill = bool(said["lost"] or said["lanes"] or said["hosts"] or said["counts"])
    assert code == (FAILED if ill else OK), (code, said)
    return said


def lost(said):
    return {one["requestId"] for one in said["lost"]}


@pytest.fixture
def held_back(launch):
    """A pipeline in real time whose consumers do not begin anything."""
    pipeline = launch(TIME_SCALE=1)
    pipeline.call("POST", "/queues/requests/pause", "{}")
    return pipeline


def lane_of(pipeline):
    keys = pipeline.redis.call("KEYS", f"{TAG}f:l:*")
    assert len(keys) == 1
    return keys[0].decode()


def resume(pipeline):
    assert pipeline.call("POST", "/queues/requests/resume", "{}").status == 200


def test_what_was_taken_from_its_lane_is_found_and_put_back(held_back, provider, receiver):
    ids = [held_back.post(provider.url(), receiver.url()) for _ in range(3)]
    assert diagnosis(held_back) == {"records": 3, "live": 3, "lost": [], "lanes": [], "hosts": [], "counts": [],
                                    "countsCompared": True, "hostsCompared": True, "repaired": False}  # fmt: skip
    assert held_back.redis.call("LREM", lane_of(held_back), 0, ids[1]) == 1
    code, out, err = doctor(held_back.redis.url)
    assert (code, err) == (FAILED, "") and f"{ids[1]}  queued, and in no queue\n" in out
    assert 'the count "f" says 3, there are 2\n' in out and "3 records, 3 of them live; 1 in no queue" in out
    assert lost(diagnosis(held_back)) == {ids[1]}, "nothing is changed unless asked for"
    code, out, _ = doctor(held_back.redis.url, "--repair")
    assert code == FAILED and f"{ids[1]}  queued, and in no queue: put right\n" in out
    assert doctor(held_back.redis.url) == (OK, "3 records, 3 of them live; 0 in no queue\n", "")
    resume(held_back)
    held_back.wait_all(ids)
    assert len(receiver.requests) == 3
    assert any("stood in no queue" in event.get("reason", "") for event in held_back.logs(ids[1]))


def test_what_stands_anywhere_is_left_alone(launch, provider, receiver):
    """One of each: in a lane, delayed, in backoff, held, paused, joined, held after another, final."""
    pipeline = launch(TIME_SCALE=1)
    gate = stage.Gate()
    provider.answers(Answer(hold=gate), path="/slow")
    post = lambda **more: pipeline.post(provider.url("/slow"), receiver.url(), **more)
    held = [post() for _ in range(2)]  # all slots of a host that is new
    patience.until(lambda: [pipeline.state(one) for one in held] == ["fetching"] * 2, "two to be held")
    others = [post(), post(delay="1h"), post(delay="2h")]
    assert pipeline.call("POST", f"/requests/{others[-1]}/pause").status == 200
    for mode in ("join", "latest"):
        others += [post(dedupeKey=mode, dedupeMode=mode, delay="1h") for _ in range(3)]
    waits = [pipeline.record(one).get("waiting", {}).get("reason") for one in others]
    assert waits == ["host_concurrency", "scheduled", "paused", "scheduled", "joined", "joined", "scheduled", None, "joined"]
    said = diagnosis(pipeline)
    assert (said["lost"], said["lanes"], said["hosts"], said["records"], said["live"]) == ([], [], [], 11, 10)
    gate.open()
    pipeline.wait_all(held)


def test_backoff_and_ends_are_left_alone(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    provider.answers(503, path="/retried")
    provider.answers(404, path="/fails")
    retried = pipeline.post(provider.url("/retried"), receiver.url())
    pipeline.wait_attempts(retried, "fetch", 1)
    pipeline.wait(pipeline.post(provider.url("/fails"), receiver.url()), "failed")
    receiver.answers(503)
    undelivered = pipeline.post(provider.url("/good"), receiver.url())
    pipeline.wait_attempts(undelivered, "deliver", 1)
    said = diagnosis(pipeline)
    assert (said["lost"], said["counts"], said["records"], said["live"], said["countsCompared"]) == ([], [], 3, 2, True)


@pytest.mark.parametrize("key", ["f:z", "held"])
def test_what_was_lost_elsewhere_is_found_too(launch, provider, receiver, key):
    """From the delayed ones; and from a worker's hold, that worker being gone."""
    pipeline = launch(TIME_SCALE=1)
    gate = stage.Gate()
    provider.answers(Answer(hold=gate))
    if key == "held":
        request = pipeline.post(provider.url(), receiver.url())
        patience.until(lambda: pipeline.state(request) == "fetching", "it to be held")
        pipeline.consumer.kill()
        [held] = pipeline.redis.call("KEYS", f"{TAG}held:*")
        pipeline.redis.call("DEL", held)
    else:
        request = pipeline.post(provider.url(), receiver.url(), delay="1h")
        assert pipeline.redis.call("ZREM", f"{TAG}{key}", request) == 1
    assert lost(diagnosis(pipeline)) == {request}
    assert lost(diagnosis(pipeline, "--repair")) == {request}
    if key == "held":
        pipeline.consumer.start()
    gate.open()
    pipeline.wait(request, "delivered")
    assert lost(diagnosis(pipeline)) == set()


def test_one_that_waits_for_a_leader_who_is_gone(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1)
    gate = stage.Gate()
    provider.answers(Answer(hold=gate))
    leader, follower = (pipeline.post(provider.url(), receiver.url(), dedupeKey="k", dedupeMode="join") for _ in range(2))
    patience.until(lambda: pipeline.state(leader) == "fetching", "the leader to be fetched")
    assert pipeline.record(follower)["waiting"]["reason"] == "joined"
    assert diagnosis(pipeline)["lost"] == []
    assert pipeline.redis.call("HDEL", f"{TAG}leaders", leader) == 1
    assert lost(diagnosis(pipeline, "--repair")) == {follower}
    gate.open()
    pipeline.wait_all([leader, follower])
    assert len(receiver.requests) == 2


def test_a_ghost_that_lives_is_put_back_in_its_place(held_back, provider, receiver):
    request = held_back.post(provider.url(), receiver.url())
    held_back.redis.call("SADD", f"{TAG}f:g", request)
    assert lost(diagnosis(held_back, "--repair")) == {request}
    assert held_back.redis.call("LRANGE", lane_of(held_back), 0, -1) == [request.encode()]
    resume(held_back)
    held_back.wait(request, "delivered")
    assert len(receiver.requests) == 1
    assert diagnosis(held_back)["counts"] == []


def test_a_ghost_without_its_entry_is_put_back_too(held_back, provider, receiver):
    request = held_back.post(provider.url(), receiver.url())
    held_back.redis.call("SADD", f"{TAG}f:g", request)
    held_back.redis.call("DEL", lane_of(held_back))
    assert lost(diagnosis(held_back, "--repair")) == {request}
    resume(held_back)
    held_back.wait(request, "delivered")


def test_a_lane_that_nobody_serves_is_offered(held_back, provider, receiver):
    request = held_back.post(provider.url(), receiver.url())
    host = provider.url().split("/")[2]
    held_back.redis.call("DEL", f"{TAG}f:t:d")
    resume(held_back)
    wanted = [{"host": host, "stage": "fetch", "priority": "default"}]
    assert diagnosis(held_back)["lanes"] == wanted
    assert diagnosis(held_back, "--repair")["lanes"] == wanted
    held_back.wait(request, "delivered")
    assert diagnosis(held_back)["lanes"] == []


@pytest.mark.parametrize("name", ["live", "f", "d", "bytes", "dead", "kept"])
def test_a_count_that_is_wrong_is_told_and_put_right(held_back, provider, receiver, name):
    held_back.post(provider.url(), receiver.url())
    right = int(held_back.redis.call("HGET", f"{TAG}c", name) or 0)
    for wrong in (right + 5, right - 2):
        held_back.redis.call("HSET", f"{TAG}c", name, wrong)
        told = [{"name": name, "counted": wrong, "found": right}]
        assert diagnosis(held_back)["counts"] == told
        assert diagnosis(held_back, "--repair")["counts"] == told
        assert diagnosis(held_back)["counts"] == []
        assert int(held_back.redis.call("HGET", f"{TAG}c", name)) == right


@pytest.fixture
def owned(launch, tmp_path, provider, receiver):
    """Of alice three requests, of bob one, in a lane."""
    keys = Keys(tmp_path).write(("alice", "wonder"), ("bob", "build"), ("op", "operator", "admin"))
    pipeline = keyed(launch(TIME_SCALE=1, API_KEYS=keys.path), "operator")
    pipeline.call("POST", "/queues/requests/pause", "{}")
    for key in ("wonder", "wonder", "build", "wonder"):
        keyed(pipeline, key).post(provider.url(), receiver.url())
    return pipeline


def test_a_count_of_one_owner_is_told_and_put_right(owned):
    assert diagnosis(owned)["counts"] == []
    owned.redis.call("HSET", f"{TAG}c", "live:alice", 7, "live:gone", -4, b"live:\xff", 1)
    owned.redis.call("HDEL", f"{TAG}c", "live:bob")
    told = [("live:alice", 7, 3), ("live:bob", 0, 1), ("live:gone", -4, 0)]
    of = lambda said: sorted(tuple(one.values()) for one in said["counts"])
    assert of(diagnosis(owned)) == told
    assert of(diagnosis(owned, "--repair")) == told
    assert diagnosis(owned)["counts"] == []
    assert owned.redis.call("HMGET", f"{TAG}c", "live:alice", "live:bob", "live:gone") == [b"3", b"1", b"0"]


def test_owners_of_any_number_are_put_right_a_part_at_a_time(held_back):
    wrong = [word for i in range(600) for word in (f"live:owner{i}", 1)]
    held_back.redis.call("HSET", f"{TAG}c", *wrong)
    assert [len(diagnosis(held_back, "--repair")["counts"]) for _ in range(4)] == [250, 250, 100, 0]


def in_flight(pipeline, queue="f"):
    [key] = pipeline.redis.call("KEYS", f"{TAG}{queue}:h:*")
    return key.decode(), int(pipeline.redis.call("HGET", key, "n") or 0)


def test_a_host_that_counts_too_many_is_served_again(held_back, provider, receiver):
    """Nothing of it is in flight, so no settle would ever offer it."""
    request = held_back.post(provider.url(), receiver.url())
    host = provider.url().split("/")[2]
    held_back.redis.call("HSET", f"{TAG}f:h:{host}", "n", 50)
    resume(held_back)
    patience.until(lambda: held_back.redis.call("HGET", f"{TAG}f:h:{host}", "w") == b"1", "its lane to be left aside")
    assert held_back.record(request)["waiting"]["reason"] == "host_concurrency"
    wrong = [{"host": host, "stage": "fetch", "counted": 50, "found": 0}]
    assert diagnosis(held_back)["hosts"] == wrong
    code, out, err = doctor(held_back.redis.url, "--repair")
    assert (code, err) == (FAILED, "")
    assert f"the host {host} counts 50 in flight to fetch, there are 0: put right\n" in out
    held_back.wait(request, "delivered")
    assert diagnosis(held_back)["hosts"] == []


@pytest.mark.parametrize("queue", ["f", "d"])
@pytest.mark.parametrize("wrong", [7, 1, 0, -3, None])
def test_what_a_host_counts_is_put_right_while_requests_are_held(launch, provider, receiver, queue, wrong):
    """None: nothing at all is known of a host of which two are in flight."""
    pipeline, gate = launch(TIME_SCALE=1), stage.Gate()
    side = provider if queue == "f" else receiver
    side.answers(Answer(hold=gate))
    waiting = 2 if wrong == 7 else 0  # a host that counts too few lets others through
    ids = [pipeline.post(provider.url(), receiver.url()) for _ in range(2 + waiting)]
    side.holds(2)
    key, now = in_flight(pipeline, queue)
    assert now == 2 and diagnosis(pipeline)["hosts"] == []
    if wrong is None:
        pipeline.redis.call("DEL", key)
    else:
        pipeline.redis.call("HSET", key, "n", wrong)
    told = [{"host": side.url().split("/")[2], "stage": "fetch" if queue == "f" else "deliver",
             "counted": wrong or 0, "found": 2}]  # fmt: skip
    assert diagnosis(pipeline)["hosts"] == told
    assert diagnosis(pipeline, "--repair")["hosts"] == told
    assert diagnosis(pipeline)["hosts"] == [] and in_flight(pipeline, queue) == (key, 2)
    gate.open()
    pipeline.wait_all(ids)
    assert in_flight(pipeline, queue) == (key, 0)


def test_more_held_than_one_call_looks_through_is_told(held_back):
    held_back.redis.call("ZADD", f"{TAG}f:workers", 10**15, "w")
    ids = [word for i in range(20_001) for word in (f"{i}", "-dhost:80 1")]
    held_back.redis.call("HSET", f"{TAG}held:w", *ids)
    said = diagnosis(held_back)
    assert (said["hosts"], said["hostsCompared"]) == ([], False)
    assert "too many requests" in doctor(held_back.redis.url)[1]
    held_back.redis.call("HDEL", f"{TAG}held:w", "0", "1")
    held_back.redis.call("HSET", f"{TAG}held:w", "0", "none of ours, and no reason to stop")
    said = diagnosis(held_back)
    assert (said["hosts"], said["hostsCompared"]) == (
        [{"host": "host:80", "stage": "fetch", "counted": 0, "found": 19_999}], True)  # fmt: skip


def test_the_sums_are_right_when_a_record_has_grown_while_it_was_held(launch, provider, receiver):
    pipeline, gate = launch(TIME_SCALE=1), stage.Gate()
    receiver.answers(Answer(hold=gate))
    request = pipeline.post(provider.url(), receiver.url())
    receiver.holds(1)
    for verb in ("pause", "resume"):
        assert pipeline.call("POST", f"/requests/{request}/{verb}").status == 200
    gate.open()
    pipeline.wait(request, "delivered")
    said = diagnosis(pipeline)
    assert (said["counts"], said["countsCompared"]) == ([], True)


def test_the_sums_are_right_when_a_record_can_not_be_read(owned):
    """Its head is of another version; it fails, and is its owner's no more."""
    [key, *_] = owned.redis.call("KEYS", f"{TAG}r:*")
    request = key.decode()[-36:]
    owned.redis.call("SETRANGE", key, 0, "9")
    resume(owned)
    letter = lambda: owned.redis.call("GET", key).splitlines()[-1].split(b"\t")[2]
    patience.until(lambda: letter() == b"x", "it to fail")
    patience.until(lambda: owned.get("/queues").json["live"] == 0, "all to end")
    said = diagnosis(owned)
    assert (lost(said), said["counts"], said["countsCompared"]) == (set(), [], True), request
    owned.forget()


def test_the_sums_are_right_after_data_was_taken_away(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, RETENTION_DATA="1s", LEASE="1s")
    provider.answers(Answer(body=b"x" * 300_000), Answer(body=b"y" * 1000))
    ids = [pipeline.post(provider.url(), receiver.url()) for _ in range(2)]
    pipeline.wait_all(ids)
    stripped = lambda: len(pipeline.redis.call("LRANGE", f"{TAG}bare", 0, -1)) == 2
    patience.until(stripped, "their data to be taken away")
    said = diagnosis(pipeline)
    assert (said["counts"], said["countsCompared"]) == ([], True)


def test_a_record_with_a_block_that_is_none_stops_nobody(launch, provider, receiver):
    pipeline = launch(TIME_SCALE=1, LEASE="1s")
    request = pipeline.post(provider.url(), receiver.url())
    pipeline.wait(request, "delivered")
    key = f"{TAG}r:{request}"
    *lines, last = pipeline.redis.call("GET", key).splitlines(keepends=True)
    pipeline.redis.call("SET", key, b"".join([lines[0], b"=none\n", last]))
    assert [one["name"] for one in diagnosis(pipeline)["counts"]] in ([], ["kept"])
    pipeline.consumer.env.update(RETENTION_DATA="1s", RETENTION_RECORD="1s")  # not before that is done
    pipeline.consumer.restart()
    patience.until(lambda: not pipeline.redis.call("EXISTS", key), "retention to take it away")


def test_the_counts_are_right_after_a_life_of_everything(launch, provider, receiver):
    """Every verb on requests in every place; then what stands is what was counted."""
    pipeline = launch(TIME_SCALE=1)
    gate = stage.Gate()
    provider.answers(Answer(hold=gate), path="/slow")
    provider.answers(404, path="/fails")
    provider.answers(Answer(body=b"x" * 300_000), path="/large")
    receiver.answers(503, path="/down")
    ids = []
    for path, callback in [("/good", "/"), ("/large", "/"), ("/large", "/down"), ("/good", "/down"), ("/fails", "/"), ("/slow", "/")]:
        for more in [{}, {"delay": "1h"}, {"labels": ["a"]}, {"failureCallbackUrl": receiver.url("/down")}]:
            ids.append(pipeline.post(provider.url(path), receiver.url(callback), **more))
    patience.until(lambda: len(provider.requests) >= 8, "some to be fetched")
    for at, request in enumerate(ids * 2):
        verb = ["pause", "cancel", "resume", "redeliver", "refetch", "delete", "resume"][at % 7]
        method, path = ("DELETE", f"/requests/{request}") if verb == "delete" else ("POST", f"/requests/{request}/{verb}")
        assert pipeline.call(method, path).status in (200, 202, 204, 404, 409)
    gate.open()
    said = patience.until(lambda: (said := diagnosis(pipeline))["countsCompared"] and said, "the pipeline to come to rest", 60)
    assert (said["lost"], said["lanes"], said["hosts"], said["counts"]) == ([], [], [], [])


def test_nothing_is_found_while_requests_fly(launch, provider, receiver):
    """Many looks while thousands go through all states: no false alarm, no duplicate from a repair."""
    pipeline = launch(TIME_SCALE=1000, consumers=2, responders=2)
    provider.answers(200, 503, 200)
    flies = threading.Thread(target=pipeline.post_many, args=([(provider.url(), receiver.url())] * 3000,))
    flies.start()
    looks = 0
    while flies.is_alive() or looks < 3:
        said = diagnosis(pipeline, *["--repair"][: looks % 2])
        assert (said["lost"], said["lanes"], said["hosts"], said["counts"]) == ([], [], [], [])
        looks += 1
    flies.join()
    patience.until(lambda: pipeline.get("/queues").json["live"] == 0, "all to be delivered", 60)
    assert len(receiver.requests) == 3000
    said = diagnosis(pipeline)
    assert (said["records"], said["live"], said["countsCompared"]) == (3000, 0, True)


def check(pipeline, *ids):
    """The last check, by itself: it must see what has moved while the pages before it were read."""
    return scripts.run(pipeline.redis, "doctor", "check", "1", *ids)


def test_the_last_check_acquits_what_stands_in_a_lane(held_back, provider, receiver):
    ids = [held_back.post(provider.url(), receiver.url()) for _ in range(3)]
    assert check(held_back, *ids) == []
    assert held_back.redis.call("LRANGE", lane_of(held_back), 0, -1) == [one.encode() for one in ids]
    held_back.redis.call("LREM", lane_of(held_back), 0, ids[0])
    assert check(held_back, *ids) == [ids[0].encode(), b"q", b"f"]
    assert check(held_back, *ids) == []


def test_it_looks_through_lanes_of_any_length_in_small_calls(held_back, provider, receiver):
    """More than a page of everything; nine calls of ten take less than 5 ms, by Redis' own word
    (which counts the time that others have taken from it, too)."""
    ids = held_back.post_many([(provider.url(), receiver.url())] * 5000)
    held_back.redis.call("LREM", lane_of(held_back), 0, ids[2500])
    held_back.redis.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
    held_back.redis.call("CONFIG", "SET", "slowlog-max-len", 100_000)
    held_back.redis.call("SLOWLOG", "RESET")
    said = diagnosis(held_back, "--repair")
    assert lost(said) == {ids[2500]} and said["live"] == 5000
    calls = [entry for entry in held_back.redis.call("SLOWLOG", "GET", 100_000) if entry[3][0] == b"EVALSHA"]
    times = sorted(entry[2] for entry in calls)
    assert len(times) > 100 and times[len(times) * 9 // 10] < 5000, times[-20:]
    resume(held_back)
    patience.until(lambda: held_back.get("/queues").json["live"] == 0, "all to be delivered", 60)
    assert len(receiver.requests) == 5000


def test_an_empty_redis_is_well(redis):
    assert doctor(redis.url) == (OK, "0 records, 0 of them live; 0 in no queue\n", "")


def test_another_layout_is_left_alone(redis):
    redis.call("SET", f"{TAG}version", "999")
    code, out, err = doctor(redis.url, "--repair")
    assert (code, out) == (FAILED, "") and "another version" in err


def test_it_finds_the_redis_of_up_by_its_folder(redis, tmp_path):
    folder = os.path.dirname(redis.path)  # there the socket is called as up calls it
    for words, env in [(["--data-dir", folder], {}), ([], {"DATA_DIR": folder}), (["--redis-url", redis.url], {})]:
        assert doctor(None, *words, **env) == (OK, "0 records, 0 of them live; 0 in no queue\n", "")
    for words, env in [([], {"DATA_DIR": str(tmp_path / "nothing")}), ([], {"HOME": str(tmp_path)})]:
        code, out, err = doctor(None, *words, **env)
        assert (code, out) == (UNREACHABLE, "") and "no folder" in err


def test_no_redis_is_an_exit_code_of_its_own(programs, tmp_path):
    nobody = Redis(str(tmp_path))
    code, out, err = doctor(nobody.url)
    nobody.destroy()
    assert (code, out) == (UNREACHABLE, "") and "can't be reached" in err
    code, out, err = doctor("ftp://example.com")
    assert (code, out) == (USAGE, "") and "REDIS_URL" in err
