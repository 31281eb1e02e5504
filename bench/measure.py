"""
One pass over one contestant: full rate, fixed rate, idle, accept alone. Everything that is not the load
program's to see (Redis' memory, the append-only file) is read around its runs.
"""
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time

from contestants import Trouble

WARM_UP = 2000        # requests: Node's compiler needs about that many, and slow starts end
CONNECTIONS = 64
LATENCY_RATE = 500
IDLE_PARTS = 2        # timers of several seconds want more time than the other parts
LOAD_LIMIT_S = 120


class Load:
    """fetchback-load against one contestant."""

    def __init__(self, program, contestant, hosts):
        self.program = program
        self.hosts = hosts
        self.contestant = contestant

    def run(self, mode, requests, *options):
        contestant = self.contestant
        pids = ",".join(f"{name}={process.pid}" for name, process in contestant.processes.items())
        command = [self.program, mode, "--api", f"http://127.0.0.1:{contestant.port}", "--requests", str(requests),
                   "--connections", str(CONNECTIONS), "--pids", pids, "--limit", str(LOAD_LIMIT_S), "--provider-hosts", str(self.hosts),
                   "--callback-hosts", str(self.hosts), "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_LIMIT_S + 30)
        if done.returncode != 0:
            raise Trouble(f"{contestant.name}: {mode} ended with {done.returncode}\n{done.stderr}{done.stdout}\n"
                          f"{contestant.logs()}")
        return json.loads(done.stdout)


def measure(contestant, appendfsync, program, seconds, hosts):
    """Figures by name; `seconds` is about how long each of the four parts takes."""
    contestant.start(appendfsync, free_port())
    try:
        load = Load(program, contestant, hosts)
        warm = load.run("closed", WARM_UP)
        figures = {}
        full_rate(contestant, load, int(warm["delivered_per_s_middle"] * seconds), figures)
        latency(load, int(LATENCY_RATE * seconds), figures)
        idle_s = IDLE_PARTS * seconds
        figures["idle"] = contestant.redis.commands_seen(idle_s) / idle_s / len(contestant.services)
        contestant.stop_workers()
        accept(contestant, load, int(figures["accepted"] * seconds), figures)
        return figures
    finally:
        contestant.stop()


def full_rate(contestant, load, requests, figures):
    redis = contestant.redis
    memory, aof = redis.used_memory(), redis.aof_bytes()
    result = load.run("closed", requests)
    figures["delivered"] = result["delivered_per_s"]
    figures["accepted"] = result["accepted_per_s"]
    figures["cpu"] = result["cpu_us_per_request"]
    for process in result["processes"]:
        figures[f"cpu {process['name']}"] = process["cpu_us_per_request"]
        figures[f"peak {process['name']}"] = process["peak_kb"] / 1024
    figures["peak"] = max(p["peak_kb"] for p in result["processes"] if p["name"] != "redis") / 1024
    figures["finished bytes"] = max(0, redis.used_memory() - memory) / requests
    figures["aof bytes"] = (redis.aof_bytes() - aof) / requests


def latency(load, requests, figures):
    result = load.run("rate", requests, "--rate", str(LATENCY_RATE))
    for name in ("p50", "p99", "p999"):
        figures[name] = result["latency_ms"][name]
    figures["lateness p99"] = result["lateness_ms"]["p99"]


def accept(contestant, load, requests, figures):
    memory = contestant.redis.used_memory()
    result = load.run("accept", requests)
    figures["accepted"] = result["accepted_per_s"]
    figures["accept cpu"] = result["cpu_us_per_request"]
    figures["queued bytes"] = max(0, contestant.redis.used_memory() - memory) / requests


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fsync_ms(count=200):
    """Median and 99th percentile of what Redis does under `always`: a small append, then fdatasync."""
    times = []
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        for _ in range(count):
            begun = time.monotonic()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - begun) * 1000)
    times.sort()
    return statistics.median(times), times[int(count * 0.99)]


def medians(passes):
    return {name: statistics.median(p[name] for p in passes) for name in passes[0]}
