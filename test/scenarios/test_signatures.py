"""Callbacks are signed as Standard Webhooks has it; that project's own library is the judge."""
import os
import signal
import subprocess
import time
import types

import pytest

from peers import patience, webhooks
from peers.keys import Keys, bearer
from peers.pipeline import program

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
ALICES = "whsec_QUxJQ0VTIFNFQ1JFVCBPRiAzMCBCWVRFUyEhISEh"
GOOD = "verified"


@pytest.fixture(scope="session", autouse=True)
def library():
    webhooks.install()


def sent(pipeline, provider, receiver, key=None):
    """One request with this key, delivered: what came to the receiver."""
    before = len(receiver.requests)
    body = {"provider": provider.url(), "callbackUrl": receiver.url()}
    reply = pipeline.call("POST", "/", body, bearer(key) if key else {})
    assert reply.status == 202, reply
    return receiver.got(before + 1)[-1]


def test_the_library_verifies_what_we_sign(launch, provider, receiver):
    pipeline = launch(SIGNING_SECRET=OLD)
    provider.answers({"a": 1}, "h\u00e9llo \"w\u00f6rld\"\n", b"\xff\x00", b"")
    for _ in range(4):
        delivery = sent(pipeline, provider, receiver)
        assert webhooks.verdict(OLD, delivery) == GOOD
        assert delivery.headers["webhook-id"] == delivery.id
        assert abs(int(delivery.headers["webhook-timestamp"]) - time.time()) < 60
    assert webhooks.verdict(NEW, delivery) == "No matching signature found"
    assert webhooks.verdict(OLD, delivery, body=delivery.body.decode() + " ") != GOOD
    earlier = str(int(delivery.headers["webhook-timestamp"]) - 1)
    for name, value in (("webhook-id", "x"), ("webhook-timestamp", earlier)):
        assert webhooks.verdict(OLD, delivery, headers={**delivery.headers, name: value}) != GOOD


def test_while_secrets_are_rotated_both_verify(launch, provider, receiver):
    delivery = sent(launch(SIGNING_SECRET=f"{NEW}, {OLD}"), provider, receiver)
    signatures = delivery.headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    assert webhooks.verdict(NEW, delivery) == webhooks.verdict(OLD, delivery) == GOOD
    first = {**delivery.headers, "webhook-signature": signatures[0]}
    assert webhooks.verdict(NEW, delivery, headers=first) == GOOD, "the newest comes first"


def test_each_attempt_is_signed_anew(launch, provider, receiver):
    pipeline = launch(SIGNING_SECRET=OLD, CALLBACK_SCHEDULE="1100s")  # 1.1 s: another timestamp
    receiver.answers(503, 200)
    sent(pipeline, provider, receiver)
    first, second = receiver.got(2)
    assert webhooks.verdict(OLD, first) == webhooks.verdict(OLD, second) == GOOD
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] < second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert [one.headers["webhook-attempt"] for one in (first, second)] == ["1", "2"]


def test_without_a_secret_nothing_is_signed(pipeline, provider, receiver):
    delivery = sent(pipeline, provider, receiver)
    assert "webhook-signature" not in delivery.headers
    assert delivery.headers["webhook-id"] == delivery.id


def test_a_failure_callback_is_signed_too(launch, provider, receiver, peer):
    pipeline, oops = launch(SIGNING_SECRET=OLD), peer("oops")
    provider.answers(404)
    pipeline.post(provider.url(), receiver.url(), failureCallbackUrl=oops.url())
    delivery = oops.got(1)[0]
    assert webhooks.verdict(OLD, delivery) == GOOD
    assert delivery.headers["webhook-id"] != delivery.id, "it is a request of its own"


def test_a_name_may_have_a_secret_of_its_own(launch, provider, receiver, tmp_path):
    keys = Keys(tmp_path).write(("alice", "wonder", ALICES), ("bob", "build"))
    pipeline = launch(SIGNING_SECRET=OLD, API_KEYS=keys.path)
    alices, bobs = (sent(pipeline, provider, receiver, key) for key in ("wonder", "build"))
    assert webhooks.verdict(ALICES, alices) == GOOD and webhooks.verdict(OLD, alices) != GOOD
    assert webhooks.verdict(OLD, bobs) == GOOD and webhooks.verdict(ALICES, bobs) != GOOD


def test_a_names_secrets_rotate_with_its_keys(launch, provider, receiver, tmp_path):
    keys = Keys(tmp_path).write(("alice", "wonder", ALICES))
    pipeline = launch(API_KEYS=keys.path)
    keys.write(("alice", "looking-glass", NEW), ("alice", "wonder", ALICES))
    for service in (pipeline.api, pipeline.responder):
        service.signal(signal.SIGHUP)
    pipeline.api.wait_said("keys_read")
    patience.until(
        lambda: " " in sent(pipeline, provider, receiver, "wonder").headers["webhook-signature"],
        "the responder to sign with both",
    )
    delivery = sent(pipeline, provider, receiver, "looking-glass")
    assert webhooks.verdict(ALICES, delivery) == webhooks.verdict(NEW, delivery) == GOOD


def test_a_callback_cannot_be_given_our_headers(pipeline, provider, receiver):
    reply = pipeline.call("POST", "/", {
        "provider": provider.url(), "callbackUrl": receiver.url(),
        "callback": {"headers": {"webhook-signature": "v1,forged", "Webhook-Id": "x"}},
    })
    assert reply.status == 422 and len(reply.faults) == 2, reply


@pytest.mark.parametrize("secret", ["secret", "whsec_", "whsec_dG9vIHNob3J0", f"{OLD},", f"{OLD}!"])
def test_a_wrong_secret_stops_the_start(launch, redis, provider, receiver, secret):
    pipeline = launch(redis=redis)
    extra = pipeline.hire("responder")
    extra.env.update(SIGNING_SECRET=secret)
    extra.launch()
    assert extra.wait() == 100
    extra.ended = "judged"
    said = extra.log()
    assert "SIGNING_SECRET" in said and "whsec_d" not in said and OLD not in said


def test_gone_ends_the_retries(launch, provider, receiver):
    pipeline = launch(SIGNING_SECRET=OLD)
    receiver.answers(503, 410, 200)
    request = pipeline.post(provider.url(), receiver.url())
    record = pipeline.wait(request, "failed")
    assert [one["status"] for one in record["attempts"] if one["stage"] == "deliver"] == [503, 410]
    assert len(receiver.requests) == 2


def verify(delivery, *words, body=None, **settings):
    """fetchback verify on what came: (exit code, what it said)."""
    names = ("id", "timestamp", "signature")
    flags = [f"--{name}={delivery.headers[f'webhook-{name}']}" for name in names]
    run = subprocess.run(
        [program("fetchback"), "verify", *flags, *words], capture_output=True,
        input=delivery.body if body is None else body,
        env={"PATH": os.environ["PATH"], **settings}, timeout=patience.bound(None),
    )
    return run.returncode, (run.stdout + run.stderr).decode()


def test_the_command_verifies(launch, provider, receiver, tmp_path):
    delivery = sent(launch(SIGNING_SECRET=OLD), provider, receiver)
    saved, secret = tmp_path / "body", tmp_path / "secret"
    saved.write_bytes(delivery.body)
    secret.write_text(OLD + "\n")
    assert verify(delivery, SIGNING_SECRET=OLD) == (0, "verified\n")
    assert verify(delivery, "--secret", f"{NEW},{OLD}", SIGNING_SECRET=NEW) == (0, "verified\n")
    files = {"body": b"", "SIGNING_SECRET_FILE": str(secret)}
    assert verify(delivery, str(saved), **files) == (0, "verified\n")
    assert verify(delivery, "--json", SIGNING_SECRET=OLD) == (0, '{"verified":true}\n')
    code, said = verify(delivery, "--json", SIGNING_SECRET=NEW)
    assert code == 1 and said.startswith('{"verified":false,"reason":"')
    assert verify(delivery, body=delivery.body + b" ", SIGNING_SECRET=OLD)[0] == 1
    for wrong in (["--secret", "whsec_x"], ["--tolerance", "x"], [], ["--nonsense"]):
        assert verify(delivery, *wrong)[0] == 2, wrong
    assert verify(delivery, str(tmp_path / "none"), SIGNING_SECRET=OLD)[0] == 2


def test_a_file_that_the_command_cannot_take_is_named_with_the_reason(programs, tmp_path):
    delivery = types.SimpleNamespace(body=b"", headers=dict.fromkeys(
        ("webhook-id", "webhook-timestamp", "webhook-signature"), "x"))
    long, large, none = (tmp_path / name for name in ("long", "large", "none"))
    long.write_text("x" * 5000)
    with open(large, "wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    for words, settings, reason in (
            ([], {"SIGNING_SECRET_FILE": str(long)}, f"{long}: it is longer than 4 KiB"),
            ([], {"SIGNING_SECRET_FILE": str(none)}, f"{none}: No such file or directory"),
            ([str(large)], {"SIGNING_SECRET": OLD}, f"{large}: it is larger than 64 MiB"),
            ([str(none)], {"SIGNING_SECRET": OLD}, f"{none}: No such file or directory")):
        assert verify(delivery, *words, **settings) == (2, f"fetchback verify: {reason}\n")


def test_an_old_delivery_may_be_a_replay(programs):
    # The test vector of the library's own tests, of the year 2021.
    delivery = types.SimpleNamespace(body=b'{"test": 2432232314}', headers={
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    })
    code, said = verify(delivery, SIGNING_SECRET=OLD)
    assert code == 1 and "too old" in said
    assert verify(delivery, "--tolerance", "0s", SIGNING_SECRET=OLD)[0] == 0
    assert verify(delivery, "--tolerance", "36500d", SIGNING_SECRET=OLD)[0] == 0


def round_trip(pipeline, provider, *words, **settings):
    """fetchback send --listen: what it says."""
    run = subprocess.run(
        [program("fetchback"), "send", provider.url(), "--listen", "--api", pipeline.url, *words],
        capture_output=True, text=True, timeout=patience.bound(None),
        env={"PATH": os.environ["PATH"], **settings},
    )
    assert run.returncode == 0, run
    return run.stdout


def test_the_commands_receiver_verifies(launch, provider):
    pipeline = launch(SIGNING_SECRET=OLD)
    assert "\n  verified\n" in round_trip(pipeline, provider, "--secret", OLD)
    said = round_trip(pipeline, provider, SIGNING_SECRET=NEW)
    assert "\n  not verified: no signature of it is made with this secret\n" in said
    assert '"verified":true' in round_trip(pipeline, provider, "--json", SIGNING_SECRET=OLD)
    said = round_trip(pipeline, provider, "--json", SIGNING_SECRET=NEW)
    assert '"verified":false,"reason":"no signature' in said
    assert "verified" not in round_trip(pipeline, provider)
