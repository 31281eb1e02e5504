"""
What the services tell Prometheus: the figures of stories that are known, the rules of the format, and
whether alerts, dashboard and docs/METRICS.md speak of metrics that exist.

Run as a program it writes the tables of docs/METRICS.md.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))

from peers import loud, metrics, patience, stage  # noqa: E402
from peers.pipeline import Pipeline, program  # noqa: E402
from peers.process import Process  # noqa: E402
from peers.web import Answer, Gate  # noqa: E402

WORKERS = ("consumer", "responder")
PAGE = os.path.join(ROOT, "docs", "METRICS.md")
MARK = "<!-- below: what the services tell (/metrics); python3 test/scenarios/test_metrics.py writes it -->\n"
ALERTS = os.path.join(ROOT, "deploy", "prometheus", "alerts.yml")
DASHBOARD = os.path.join(ROOT, "deploy", "grafana", "fetchback.json")


def ports():
    """A port for each worker: {name: settings}, {name: port}."""
    taken = {f"{kind}-{i}": stage.free_port() for kind in WORKERS for i in range(2)}
    return {name: {"METRICS_PORT": port} for name, port in taken.items()}, taken


@pytest.fixture
def told(launch):
    """told(LEASE="1s"): a pipeline whose workers tell their metrics, at pipeline.ports."""

    def start(**options):
        only, taken = ports()
        pipeline = launch(only=only, **options)
        pipeline.ports = {**taken, "api": pipeline.port}
        return pipeline

    return start


def until_told(pipeline, service, **wanted):
    """Until a service tells these figures: all it tells. depth="7", or for labels a dict: {("queue=requests",): 7}"""
    figures = []
    for name, value in wanted.items():
        labelled = value if isinstance(value, dict) else {(): value}
        figures += [((f"fetchback_{name}", *labels), figure) for labels, figure in labelled.items()]

    def look():
        seen = metrics.ask(pipeline.ports[service])
        return seen if all(seen.get(key) == figure for key, figure in figures) else None

    def state():
        seen = metrics.ask(pipeline.ports[service])
        return f"{service} to tell {figures}, not {[seen.get(key) for key, _ in figures]}"

    return patience.until(look, state)


# ---- figures --------------------------------------------------------------------------------------------


def test_the_figures_of_a_known_story(told, provider, receiver):
    """One request is delivered after two retries of its fetch and one of its delivery, one fails at once."""
    pipeline = told()
    provider.answers(503, 503, {"a": 1}, 404)
    receiver.answers(500, 200)
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "failed")

    fetch = ("stage=fetch",)
    seen = until_told(
        pipeline, "consumer-0", in_flight={fetch: 0}, settling={fetch: 0}, body_memory_bytes={fetch: 0},
        attempts_total={(*fetch, "verdict=done"): 1, (*fetch, "verdict=retry"): 2, (*fetch, "verdict=fail"): 1},
    )
    assert seen["fetchback_faults_total", "stage=fetch", "code=http_status"] == 3
    assert sum(value for key, value in seen.samples.items() if key[0] == "fetchback_faults_total") == 3
    assert seen["fetchback_failed_total", "stage=fetch"] == 1
    assert seen["fetchback_attempt_seconds_count", "stage=fetch"] == 4
    assert seen["fetchback_ready", "service=consumer"] == 1
    assert seen["fetchback_loop_lag_seconds_count", "service=consumer"] > 4
    assert 0 < seen["fetchback_loop_lag_seconds_sum", "service=consumer"] < 60

    seen = until_told(pipeline, "responder-0", end_to_end_seconds_count=1)
    assert seen["fetchback_attempts_total", "stage=deliver", "verdict=done"] == 1
    assert seen["fetchback_attempts_total", "stage=deliver", "verdict=retry"] == 1
    assert seen["fetchback_attempt_seconds_count", "stage=deliver"] == 2
    assert 0.005 < seen["fetchback_end_to_end_seconds_sum"] < 60, "three waits of 5 ms at least"

    seen = until_told(pipeline, "api", accepted_total={("service=api",): 2}, dead_letters=1, live_requests=0)
    assert seen["fetchback_store_seconds_count", "service=api"] == 2
    for queue in ("requests", "responses"):
        assert seen["fetchback_queue_workers", f"queue={queue}"] == 1
        assert seen["fetchback_queue_depth", f"queue={queue}"] == 0
    assert seen["fetchback_kept_bytes"] > 0 and seen["fetchback_undelivered_bytes"] == 0


def test_who_is_refused_is_counted_by_reason(told, provider, receiver):
    pipeline = told(QUEUE_MAX=2, consumers=0)
    body = {"provider": provider.url(), "callbackUrl": receiver.url()}

    def refused(status, sent, **headers):
        reply = pipeline.call("POST", "/", sent, {"Content-Type": "application/json", **headers})
        assert reply.status == status, reply

    refused(400, "{")
    refused(422, {})
    refused(422, {**body, "nonsense": 1})
    refused(413, " " * (1024 * 1024 + 1))
    refused(202, body, **{"Idempotency-Key": "k"})
    refused(202, body, **{"Idempotency-Key": "k"})
    refused(422, {**body, "priority": "high"}, **{"Idempotency-Key": "k"})
    refused(202, body)
    refused(503, body)
    api = ("service=api",)
    seen = until_told(pipeline, "api", accepted_total={api: 2}, deduplicated_total={api: 1}, live_requests=2)
    counted = {key[1]: value for key, value in seen.samples.items() if key[0] == "fetchback_refused_total" and value}
    assert counted == {"reason=malformed": 1, "reason=invalid": 2, "reason=too_large": 1, "reason=conflict": 1,
                       "reason=full": 1}
    assert seen["fetchback_live_requests_max"] == 2
    assert 0 < seen["fetchback_queue_oldest_age_seconds", "queue=requests"] < 60
    assert seen["fetchback_queue_workers", "queue=requests"] == 0


def test_what_waits_and_what_runs_is_told(told, provider, receiver):
    """One host, one slot: one request runs, two are ready; one more waits for its time."""
    pipeline, gate = told(HOST_CONCURRENCY=1), Gate()
    provider.answers(Answer(hold=gate))
    for _ in range(3):
        pipeline.post(provider.url(), receiver.url())
    pipeline.post(provider.url(), receiver.url(), delay="30d")
    provider.holds(1)
    queue = ("queue=requests",)
    seen = until_told(
        pipeline, "api", queue_depth={queue: 2}, queue_leased={queue: 1}, queue_delayed={queue: 1}, live_requests=4
    )
    assert seen["fetchback_queue_paused", "queue=requests"] == 0
    until_told(pipeline, "consumer-0", in_flight={("stage=fetch",): 1}, in_flight_max={("stage=fetch",): 1024})
    gate.open()
    until_told(pipeline, "api", queue_depth={queue: 0}, queue_leased={queue: 0}, live_requests=1)


def test_many_scrapes_ask_redis_once_a_second(launch, redis, proxy):
    wire = proxy(redis.path, unix=True)
    pipeline = launch(redis=redis, consumers=0, responders=0, only={"api": {"REDIS_URL": wire.redis_url}})
    live = lambda: metrics.ask(pipeline.port).get("fetchback_live_requests")
    # Seconds; anew when Redis could not be asked meanwhile: nothing is told then, and a new wire asks more.
    for least in (0.5, 1.5, 1.5):
        wires, before, begun, told = wire.accepted, wire.commands, time.monotonic(), []
        while time.monotonic() - begun < least or len(told) < 20:
            told.append(live())
        asked, seconds = wire.commands - before, time.monotonic() - begun
        if None not in told and wire.accepted == wires:
            break
        patience.until(lambda: live() == 0, "the queues to be told again")
    assert set(told) == {0} and wire.accepted == wires
    assert 1 <= asked <= 2 + 2 * seconds < len(told)


# ---- troubles -------------------------------------------------------------------------------------------


def reconnects_after_an_outage(pipeline, provider, receiver):
    """{service: how many it tells}; what else is told of an outage must hold each time."""
    before = until_told(pipeline, "api", live_requests=0)
    pipeline.redis.process.destroy()
    for name in ("consumer-0", "responder-0"):
        patience.until(lambda: metrics.get(pipeline.ports[name], "/readyz")[0] == 503, f"{name} not to be ready")
        assert metrics.get(pipeline.ports[name], "/healthz")[0] == 200
        until_told(pipeline, name, ready={(f"service={name[:-2]}",): 0})
    seen = until_told(pipeline, "api", ready={("service=api",): 0}, live_requests=None)
    gone = {key[0] for key in before.samples} - {key[0] for key in seen.samples}
    assert gone == {name for name in before.families if name.startswith("fetchback_queue_")} | {
        "fetchback_live_requests", "fetchback_dead_letters", "fetchback_undelivered_bytes", "fetchback_kept_bytes",
        "fetchback_trimmed_total"}
    pipeline.redis.start()
    labels = {name: f"service={name.split('-')[0]}" for name in ("api", "consumer-0", "responder-0")}
    for name, label in labels.items():
        until_told(pipeline, name, ready={(label,): 1})
        patience.until(lambda: metrics.get(pipeline.ports[name], "/readyz")[0] == 200, f"{name} to be ready again")
    pipeline.wait(pipeline.post(provider.url(), receiver.url()), "delivered")
    tells = lambda name: metrics.ask(pipeline.ports[name])
    return {name: tells(name)["fetchback_redis_reconnects_total", label] for name, label in labels.items()}


def test_without_redis_nobody_is_ready_and_queues_are_not_told(told, provider, receiver):
    """One outage is one reconnect, however often it was tried; a Redis that stands still for 2 s is one more."""
    for _ in range(3):
        counted = reconnects_after_an_outage(told(), provider, receiver)
        if set(counted.values()) == {1}:
            break
    assert set(counted.values()) == {1}, counted


def test_a_worker_taken_for_dead_is_counted_by_both(told, provider, receiver):
    pipeline, gate = told(LEASE="1s"), Gate()
    provider.answers(Answer(hold=gate), {"first": 1})
    request = pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    sleeper = pipeline.consumer
    sleeper.stop()
    pipeline.hire("consumer").start()
    pipeline.wait(request, "delivered")
    fetch = ("stage=fetch",)
    until_told(pipeline, "consumer-1", reaped_workers_total={fetch: 1}, requeued_total={fetch: 1})
    gate.open()
    sleeper.cont()
    sleeper.wait_said("lease_lost")
    until_told(pipeline, "consumer-0", leases_lost_total={fetch: 1}, in_flight={fetch: 0})
    patience.until(lambda: metrics.get(pipeline.ports["consumer-0"], "/readyz")[0] == 200, "it to serve again")


def test_a_worker_that_drains_is_not_ready_but_tells(told, provider, receiver):
    pipeline, gate = told(DRAIN_TIMEOUT="20s"), Gate()
    provider.answers(Answer(hold=gate))
    pipeline.post(provider.url(), receiver.url())
    provider.holds(1)
    pipeline.consumer.term()
    port = pipeline.ports["consumer-0"]
    patience.until(lambda: metrics.get(port, "/readyz")[0] == 503, "it not to be ready")
    assert metrics.ask(port)["fetchback_in_flight", "stage=fetch"] == 1
    gate.open()
    assert pipeline.consumer.wait() == 0


# ---- the workers' server --------------------------------------------------------------------------------


def test_without_a_port_there_is_no_server(launch):
    pipeline = launch()
    for worker in pipeline.workers:
        assert os.listdir(f"/proc/{worker.pid}/task") == [str(worker.pid)], "one thread, the loop's"


def test_the_worker_answers_what_it_knows(told):
    pipeline = told()
    port = pipeline.ports["consumer-0"]
    assert metrics.get(port, "/healthz")[0] == metrics.get(port, "/readyz")[0] == 200
    status, headers, text = metrics.get(port, "/requests")
    assert status == 404 and headers["Content-Type"] == "application/problem+json"
    assert json.loads(text)["status"] == 404


def test_a_port_that_is_taken_is_named(redis, tmp_path, programs):
    with stage.bound_socket() as holder:
        holder.listen()
        port = holder.getsockname()[1]
        env = {"PATH": os.environ["PATH"], "REDIS_URL": redis.url, "METRICS_PORT": str(port)}
        worker = Process("consumer", [program("fetchback-consumer")], str(tmp_path), env).launch()
        assert worker.wait() == 100
    assert f"METRICS_PORT: port {port} is taken" in worker.log()


# ---- the format, and those who rely on it ---------------------------------------------------------------


def promtool(*args, text=None):
    if not shutil.which("promtool"):
        loud.skip("promtool is missing (Debian: prometheus)")
    done = subprocess.run(["promtool", *args], input=text, capture_output=True, text=True, timeout=patience.bound(60))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def everything(tmp_path_factory, programs):
    """What each service tells."""
    only, taken = ports()
    pipeline = Pipeline(tmp_path_factory.mktemp("told"), only=only)
    try:
        pipeline.up()
        return {"api": metrics.ask(pipeline.port), **{kind: metrics.ask(taken[f"{kind}-0"]) for kind in WORKERS}}
    finally:
        pipeline.destroy()


@pytest.mark.parametrize("service", ["api", *WORKERS])
def test_promtool_finds_nothing_to_say(everything, service):
    done = promtool("check", "metrics", text=everything[service].text)
    assert done.stdout + done.stderr == ""


def test_promtool_would_find_something(everything):
    text = everything["api"].text.replace("fetchback_accepted_total", "fetchback_accepted")
    with pytest.raises(AssertionError, match="fetchback_accepted counter metrics should have"):
        promtool("check", "metrics", text=text)


def test_the_same_name_means_the_same_everywhere(everything):
    for one in everything.values():
        for other in everything.values():
            for name in one.families.keys() & other.families.keys():
                assert one.families[name].type == other.families[name].type, name
                assert one.families[name].help == other.families[name].help, name


def names_in(text):
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\bfetchback_\w+", text)}


def known(everything):
    return {name for told_by in everything.values() for name in told_by.families}


def test_the_alert_rules_hold():
    promtool("check", "rules", ALERTS)
    promtool("check", "config", os.path.join(os.path.dirname(ALERTS), "prometheus.yml"))
    promtool("test", "rules", os.path.join(os.path.dirname(ALERTS), "alerts_test.yml"))


def test_each_alert_is_shown_firing():
    with open(ALERTS) as rules, open(ALERTS.replace(".yml", "_test.yml")) as tests:
        alerts, shown = re.findall(r"- alert: (\w+)", rules.read()), tests.read()
    for alert in alerts:
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts:\n\s+- exp_labels", shown), alert


def test_alerts_and_dashboard_speak_of_what_is_told(everything):
    for path in (ALERTS, DASHBOARD):
        with open(path) as file:
            missing = names_in(file.read()) - known(everything)
        assert not missing, f"{path}: {missing}"


def test_the_dashboard_asks_in_promql(everything, tmp_path):
    with open(DASHBOARD) as file:
        board = json.load(file)
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 20 and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    rules = [
        {"record": f"fetchback:asked{i}", "expr": asking.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for i, asking in enumerate(asked)
    ]
    path = tmp_path / "asked.yml"
    path.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))  # JSON is YAML
    promtool("check", "rules", str(path))


# ---- docs/METRICS.md ------------------------------------------------------------------------------------


def cell(family):
    labels = ", ".join(
        f"`{label}`" if label in ("service", "stage", "version") else f"`{label}`: {', '.join(values)}"
        for label, values in family.labels.items()
    )
    return f"| `{family.name}` | {family.type} | {labels} | {family.help} |\n"


def table(families):
    return "| metric | type | labels | what it tells |\n|---|---|---|---|\n" + "".join(map(cell, families))


def tables(everything):
    told_by = {service: list(told.families.values()) for service, told in everything.items()}
    common = set.intersection(*({family.name for family in families} for families in told_by.values()))
    consumer = {family.name for family in told_by["consumer"]}
    parts = [
        ("All three services", [family for family in told_by["api"] if family.name in common]),
        ("api", [family for family in told_by["api"] if family.name not in common]),
        ("consumer and responder", [family for family in told_by["consumer"] if family.name not in common]),
        ("responder", [family for family in told_by["responder"] if family.name not in consumer]),
    ]
    return "".join(f"\n## {title}\n\n{table(families)}" for title, families in parts)


def test_the_page_names_each_metric(everything):
    with open(PAGE, encoding="utf-8") as file:
        head, _, written = file.read().partition(MARK)
    assert written == tables(everything), "python3 test/scenarios/test_metrics.py writes it"
    assert not names_in(head) - known(everything)


def write_page():
    with tempfile.TemporaryDirectory() as folder:
        only, taken = ports()
        pipeline = Pipeline(folder, only=only)
        try:
            pipeline.up()
            everything = {"api": metrics.ask(pipeline.port)}
            everything.update({kind: metrics.ask(taken[f"{kind}-0"]) for kind in WORKERS})
        finally:
            pipeline.destroy()
    with open(PAGE, encoding="utf-8") as file:
        head = file.read().partition(MARK)[0]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(head + MARK + tables(everything))


if __name__ == "__main__":
    write_page()
