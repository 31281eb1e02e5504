"""Strict: a Redis that could forget is refused, and told why. Relaxed: it is used, and told so."""
import pytest

from peers import patience
from peers.redis import Redis

FORGETFUL = {  # configuration: a word that the reason must have
    "no append-only file": ({"appendonly": "no"}, "append"),
    "fsync now and then": ({"appendfsync": "everysec"}, "appendfsync|always"),
    "fsync never": ({"appendfsync": "no"}, "appendfsync|always"),
    "evicts": ({"maxmemory_policy": "allkeys-lru"}, "noeviction|maxmemory-policy"),
    "hides its configuration": ({"rename_command": ("CONFIG", "")}, "config"),
}


@pytest.fixture
def forgetful(cast, tmp_path):
    return lambda config: cast(Redis(str(tmp_path), name="forgetful", **config)).start()


@pytest.mark.parametrize("config, words", FORGETFUL.values(), ids=FORGETFUL)
def test_strict_refuses_it_and_names_why(launch, forgetful, provider, receiver, config, words):
    pipeline = launch(ready=False, redis=forgetful(config))
    patience.until(lambda: refuses(pipeline, words), lambda: pipeline.get("/readyz"))
    reply = pipeline.ask(provider.url(), receiver.url())
    assert reply.status == 503 and reply.headers["Retry-After"] and named(reply, words), reply
    assert pipeline.get("/healthz").status == 200


def named(reply, words):
    return any(word in reply.body.decode().lower() for word in words.lower().split("|"))


def refuses(pipeline, words):
    reply = pipeline.get("/readyz")
    return reply.status == 503 and named(reply, words)


@pytest.mark.parametrize("config, words", FORGETFUL.values(), ids=FORGETFUL)
def test_relaxed_accepts_and_says_so(launch, forgetful, provider, receiver, config, words):
    pipeline = launch(redis=forgetful(config), DURABILITY="relaxed")
    reply = pipeline.get("/readyz")
    assert reply.status == 200 and named(reply, words), reply
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")


def test_a_replica_is_refused(launch, redis):
    pipeline = launch(redis=redis)
    redis.call("REPLICAOF", "127.0.0.1", "9")
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    patience.until(lambda: refuses(pipeline, "master|replica"), lambda: pipeline.get("/readyz"))
    redis.call("REPLICAOF", "NO", "ONE")
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    patience.until(pipeline.ready, "the api to accept its master again")


def test_a_redis_that_becomes_forgetful_is_noticed_at_the_next_connection(launch, redis):
    pipeline = launch(redis=redis)
    redis.call("CONFIG", "SET", "appendfsync", "everysec")
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    patience.until(lambda: refuses(pipeline, "appendfsync|always"), lambda: pipeline.get("/readyz"))
    redis.call("CONFIG", "SET", "appendfsync", "always")
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    patience.until(pipeline.ready, "the api to accept it again")


def test_a_start_without_its_redis_tells_why_and_each_new_reason(launch, cast, tmp_path):
    redis = cast(Redis(str(tmp_path), name="late", appendonly="no"))
    pipeline = launch(ready=False, redis=redis, consumers=0, responders=0)
    told = lambda: [one["reason"] for one in pipeline.api.events() if one["event"] == "not_accepting"]
    patience.until(lambda: len(told()) == 1, pipeline.api.story)
    redis.start()
    patience.until(lambda: len(told()) == 2, pipeline.api.story)
    away, forgetful = told()
    assert away.startswith("Redis is away: ") and "append-only" in forgetful
    redis.call("CONFIG", "SET", "appendonly", "yes")
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    patience.until(pipeline.ready, "the api to accept it")
