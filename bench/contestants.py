"""
Who is compared: the product and the same pipeline on two well-known stacks. Each starts three processes
on a Redis of its own and says READY on a descriptor; from then on all are treated alike.
"""
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REDIS_CONF = os.path.join(os.path.dirname(HERE), "config", "redis.conf")
START_LIMIT_S = 20
STOP_LIMIT_S = 20


class Trouble(Exception):
    """Something that ends the bench with a sentence instead of a traceback."""


class Process:
    """One process with a log of its own, ended by its id alone."""

    def __init__(self, name, command, folder, env=None, ready=True):
        self.name = name
        self.log = os.path.join(folder, f"{name}.log")
        read_end, write_end = os.pipe()
        environment = {**os.environ, **(env or {}), "READY_FD": str(write_end)}
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT, pass_fds=(write_end,))
        os.close(write_end)
        self.ready_end = read_end
        if ready:
            self.wait_ready()

    def wait_ready(self):
        readable, _, _ = select.select([self.ready_end], [], [], START_LIMIT_S)
        said = os.read(self.ready_end, 64) if readable else b""
        os.close(self.ready_end)
        if not said.startswith(b"READY"):
            self.stop()
            raise Trouble(f"{self.name} did not become ready:\n{self.tail()}")

    def tail(self):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-20:])

    @property
    def pid(self):
        return self.popen.pid

    def stop(self):
        if self.popen.poll() is not None:
            return
        self.popen.terminate()
        try:
            self.popen.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Redis(Process):
    """Debian's redis-server with the shipped configuration; only appendfsync differs."""

    def __init__(self, folder, appendfsync):
        self.socket = os.path.join(folder, "redis.sock")
        super().__init__("redis", ["redis-server", REDIS_CONF, "--port", "0", "--unixsocket", self.socket, "--dir",
                                   folder, "--maxmemory", "1gb", "--appendfsync", appendfsync], folder, ready=False)
        os.close(self.ready_end)
        deadline = time.monotonic() + START_LIMIT_S
        while self.popen.poll() is None and time.monotonic() < deadline:
            if self.cli("ping", check=False) == "PONG":
                return
            time.sleep(0.02)
        raise Trouble(f"redis-server did not start:\n{self.tail()}")

    def cli(self, *words, check=True):
        done = subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise Trouble(f"redis-cli {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def info(self, section):
        lines = self.cli("info", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commands_seen(self, seconds):
        """Commands clients sent meanwhile; what scripts call inside Redis is not among them."""
        monitor = subprocess.Popen(["redis-cli", "-s", self.socket, "monitor"], stdout=subprocess.PIPE, text=True)
        try:
            monitor.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            monitor.terminate()
        seen = monitor.communicate()[0].splitlines()
        return sum(1 for line in seen if line[:1].isdigit() and " lua]" not in line)

    def used_memory(self):
        return int(self.info("memory")["used_memory"])

    def aof_bytes(self):
        return int(self.info("persistence")["aof_current_size"])


class Contestant:
    """A pipeline under test. Subclasses say which commands and environment its three processes take."""
    services = ("api", "consumer", "responder")

    def __init__(self, concurrency):
        self.concurrency = concurrency

    def missing(self):
        """Why it can't take part, or None."""

    def prepare(self):
        """What must be done once, before any clock runs."""

    def start(self, appendfsync, port):
        self.folder = tempfile.mkdtemp(prefix="fetchback-bench-", dir="/var/tmp")
        self.port = port
        self.processes = {}
        try:
            self.processes["redis"] = Redis(self.folder, appendfsync)
            for service in self.services:
                self.processes[service] = Process(service, self.command(service), self.folder,
                                                  self.environment(service, appendfsync))
        except BaseException:
            self.stop()
            raise

    @property
    def redis(self):
        return self.processes["redis"]

    def stop_workers(self):
        for service in ("consumer", "responder"):
            self.processes.pop(service).stop()

    def stop(self):
        for process in reversed(list(self.processes.values())):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        return "\n".join(f"--- {name}\n{process.tail()}" for name, process in self.processes.items())


class Product(Contestant):
    def __init__(self, concurrency, bin_dir, extra_env, name="Fetchback"):
        super().__init__(concurrency)
        self.name = name
        self.bin_dir = bin_dir
        self.extra_env = extra_env

    def missing(self):
        lacking = [s for s in self.services if not os.access(self.command(s)[0], os.X_OK)]
        return f"{self.bin_dir} lacks fetchback-{', fetchback-'.join(lacking)}" if lacking else None

    def versions(self):
        if self.name != "Fetchback":
            return f"the programs in {self.bin_dir}"
        commit = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty", "--exclude=*"],
                                capture_output=True, text=True).stdout.strip()
        return f"commit {commit or 'unknown'}"

    def command(self, service):
        return [os.path.join(self.bin_dir, f"fetchback-{service}")]

    def environment(self, service, appendfsync):
        return {
            "REDIS_URL": f"unix:{self.redis.socket}",
            "PORT": str(self.port),
            "ALLOW_NETWORKS": "127.0.0.0/8,::1/128",
            "HOST_CONCURRENCY": str(self.concurrency),
            "DURABILITY": "strict" if appendfsync == "always" else "relaxed",
            **self.extra_env,
        }


class Peer(Contestant):
    """A folder of peers/: npm packages as locked, three scripts."""

    def __init__(self, concurrency):
        super().__init__(concurrency)
        self.home = os.path.join(HERE, "peers", self.folder_name)

    def missing(self):
        if not shutil.which("node") or not shutil.which("npm"):
            return "node and npm are not installed"
        version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
        return f"it needs Node 20, here is {version}" if int(version.lstrip("v").split(".")[0]) < 20 else None

    def prepare(self):
        lock = os.path.join(self.home, "package-lock.json")
        installed = os.path.join(self.home, "node_modules", ".package-lock.json")
        if os.path.exists(installed) and os.path.getmtime(installed) >= os.path.getmtime(lock):
            return
        # Not `npm ci`: npm 11 refuses a lock that lacks the optional packages of other systems, and no npm
        # writes them all. The locked versions are what this installs, too.
        done = subprocess.run(["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"],
                              cwd=self.home, capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"npm install in bench/peers/{self.folder_name} failed:\n{done.stdout}{done.stderr}")

    def versions(self):
        with open(os.path.join(self.home, "package.json")) as file:
            return ", ".join(f"{name} {version}" for name, version in json.load(file)["dependencies"].items())

    def command(self, service):
        return ["node", os.path.join(self.home, f"{service}.js")]

    def environment(self, service, appendfsync):
        return {"NODE_ENV": "production", "REDIS_SOCKET": self.redis.socket, "PORT": str(self.port),
                "CONCURRENCY": str(self.concurrency)}


class Bull(Peer):
    name = "Bull"
    folder_name = "express-bull"


class BullMQ(Peer):
    name = "BullMQ"
    folder_name = "fastify-bullmq"
