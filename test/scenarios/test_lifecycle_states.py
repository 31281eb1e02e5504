"""
Every call in every state, at both stages: what it answers, and what has become of the request.

The table stands in docs/API.md, and is compared with what happens here;
`python3 test/scenarios/test_lifecycle_states.py` writes it anew.
"""
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))

from peers import patience  # noqa: E402
from peers.pipeline import Pipeline  # noqa: E402
from peers.web import Answer, Gate, Peer  # noqa: E402

DOCUMENT = os.path.join(ROOT, "docs", "API.md")
BEGIN, END = "<!-- the table of test_lifecycle_states.py -->\n", "<!-- its end -->\n"
CALLS = ["cancel", "pause", "resume", "redeliver", "refetch", "delete"]
SETTINGS = {"TIME_SCALE": 1, "FETCH_SCHEDULE": "1h", "CALLBACK_SCHEDULE": "1h"}


class World:
    """A pipeline whose other sides never answer, fail, or do what they are asked."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.gate = Gate()
        self.peers = []

    def peer(self, said=200):
        """A host of its own for each request: none waits for another's slot."""
        self.peers.append(Peer("peer", said=said))
        return self.peers[-1]

    def silent(self):
        return self.peer(Answer(hold=self.gate))

    def close(self):
        self.gate.open()
        for peer in self.peers:
            peer.close()

    def post(self, provider, callback, **options):
        return self.pipeline.post(provider.url(), callback.url(), **options)

    def call(self, request, call, held=False):
        """held: by a worker, which may not let go within the second that the api waits for it."""
        if call == "delete":
            return self.pipeline.call("DELETE", f"/requests/{request}")
        if held and call in ("cancel", "pause"):
            return self.pipeline.alter(request, call)
        return self.pipeline.call("POST", f"/requests/{request}/{call}")

    # -- each makes one request that stays as it is called

    def scheduled(self):
        return self.post(self.silent(), self.peer(), delay="1h")

    def scheduled_paused(self):
        return self.paused(self.scheduled())

    def queued(self):
        host, callback = self.silent(), self.peer()
        for _ in range(2):  # a new host has two slots
            self.post(host, callback)
        host.holds(2)
        return self.post(host, callback)

    def queued_joined(self):
        leader = self.silent()
        self.post(leader, self.peer(), dedupeKey=leader.token, dedupeMode="join")
        return self.post(leader, self.peer(), dedupeKey=leader.token, dedupeMode="join")

    def queued_latest(self):
        current = self.silent()
        self.post(current, self.peer(), dedupeKey=current.token, dedupeMode="latest")
        current.holds(1)
        return self.post(current, self.peer(), dedupeKey=current.token, dedupeMode="latest")

    def fetching(self):
        provider = self.silent()
        request = self.post(provider, self.peer())
        provider.holds(1)
        return request

    def queued_backoff(self):
        request = self.post(self.peer(500), self.peer())
        self.pipeline.wait_attempts(request, "fetch", 1)
        return request

    def queued_paused(self):
        return self.paused(self.queued())

    def paused(self, request):
        assert self.call(request, "pause").status == 200
        return request

    def fetched(self):
        callback = self.silent()
        for _ in range(2):
            self.post(self.peer(), callback)
        callback.holds(2)
        request = self.post(self.peer(), callback)
        self.pipeline.wait(request, "fetched")
        return request

    def delivering(self):
        callback = self.silent()
        request = self.post(self.peer(), callback)
        callback.holds(1)
        return request

    def delivering_paused(self):
        return self.paused(self.delivering())

    def fetched_backoff(self):
        request = self.post(self.peer(), self.peer(500))
        self.pipeline.wait_attempts(request, "deliver", 1)
        return request

    def fetched_paused(self):
        return self.paused(self.fetched())

    def final(self, request, state):
        self.pipeline.wait(request, state)
        return request

    def delivered(self):
        return self.final(self.post(self.peer(), self.peer()), "delivered")

    def failed_fetch(self):
        return self.final(self.post(self.peer(404), self.peer()), "failed")

    def failed_deliver(self):
        return self.final(self.post(self.peer(), self.peer(410)), "failed")

    def cancelled_fetch(self):
        request = self.queued()
        assert self.call(request, "cancel").status == 200
        return request

    def cancelled_deliver(self):
        request = self.fetched()
        assert self.call(request, "cancel").status == 200
        return request


STATES = {  # as the document calls them: how to get there
    "scheduled": World.scheduled,
    "scheduled, paused": World.scheduled_paused,
    "queued": World.queued,
    "queued, joined to another": World.queued_joined,
    "queued, the latest behind another": World.queued_latest,
    "queued, in backoff": World.queued_backoff,
    "queued, paused": World.queued_paused,
    "fetching": World.fetching,
    "fetched": World.fetched,
    "fetched, in backoff": World.fetched_backoff,
    "fetched, paused": World.fetched_paused,
    "delivering": World.delivering,
    "delivering, paused": World.delivering_paused,
    "delivered": World.delivered,
    "failed to fetch": World.failed_fetch,
    "failed to deliver": World.failed_deliver,
    "cancelled before its data came": World.cancelled_fetch,
    "cancelled with its data": World.cancelled_deliver,
}


def is_held(record):
    return record["state"] in ("fetching", "delivering")


def outcome(call, was, reply):
    """What a cell says: the status, and where it was left, whether a worker has been quick or not."""
    if call == "delete" and is_held(was) and reply.status == 202 and reply.json["cancelling"] is True:
        return "204"
    if reply.status != 200:
        return str(reply.status)
    state = {"fetching": "queued", "delivering": "fetched"}.get(reply.json["state"], reply.json["state"])
    state = {"redeliver": "fetched", "refetch": "queued"}.get(call, state)
    return f"200 {state}{', paused' if reply.json['paused'] else ''}"


def is_called(name, record):
    """Whether a request is what its row says."""
    state, _, more = name.partition(", ")
    waits = {"in backoff": "backoff", "joined to another": "joined", "the latest behind another": "joined"}.get(more)
    if waits and record.get("waiting", {}).get("reason") != waits:
        return False
    return record["state"] == state.split()[0] and record["paused"] == (more == "paused")


def table(world):
    lines = ["| | " + " | ".join(f"`{call}`" for call in CALLS) + " |\n", "|---" * (len(CALLS) + 1) + "|\n"]
    for name, make in STATES.items():
        cells = []
        for call in CALLS:
            request = make(world)
            was = world.pipeline.record(request)
            assert is_called(name, was), f"that is not {name}: {was}"
            reply = world.call(request, call, is_held(was))
            cells.append(outcome(call, was, reply))
            check(world, request, call, was, reply)
        lines.append(f"| {name} | " + " | ".join(cells) + " |\n")
    return "".join(lines)


def check(world, request, call, was, reply):
    """What holds in every cell."""
    if call == "delete":
        assert outcome(call, was, reply) == "204" and world.call(request, call).status == 404
        if is_held(was):
            own = world.peers[-2:]  # made for this request alone
            patience.until(lambda: not any(peer.busy for peer in own), "what a worker was doing to be cut")
        return
    now = world.pipeline.record(request)
    if reply.status == 409:
        assert reply.headers["Content-Type"] == "application/problem+json" and len(reply.json["detail"]) > 20
        assert now["updatedAt"] == was["updatedAt"], f"{call} was refused, and changed {was} to {now}"
        return
    assert reply.status == 200 and reply.json["requestId"] == request
    assert reply.headers["Content-Type"] == "application/json"
    if call in ("cancel", "pause", "resume"):
        again = world.call(request, call, is_held(was))
        assert again.status == 200, f"{call} is not idempotent: {again}"
        assert now["attempts"] == was["attempts"], "that was no attempt"
    if call in ("redeliver", "refetch"):
        assert call in [event["event"] for event in world.pipeline.logs(request)]


def read_table():
    with open(DOCUMENT) as document:
        return document.read().partition(BEGIN)[2].partition(END)[0].strip() + "\n"


def test_every_call_in_every_state(launch):
    world = World(launch(**SETTINGS))
    try:
        seen = table(world)
    finally:
        world.close()
    assert seen == read_table(), seen


def write():
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(folder, **SETTINGS).up()
        world = World(pipeline)
        try:
            seen = table(world)
        finally:
            world.close()
            pipeline.down()
            pipeline.destroy()
    with open(DOCUMENT) as document:
        before, _, rest = document.read().partition(BEGIN)
    with open(DOCUMENT, "w") as document:
        document.write(before + BEGIN + "\n" + seen + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    write()
