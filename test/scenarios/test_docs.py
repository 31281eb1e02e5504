"""
The documents tell what is: settings, keys, scripts and names as the code has them, the record as Redis
holds it, and the first request of the README as it really goes.

Run as a program it writes what is generated: docs/SETTINGS.md below its mark.
"""
import glob
import json
import os
import re
import socket
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))

from peers import patience, stage  # noqa: E402
from peers.pipeline import BIN, SANITIZERS, program  # noqa: E402
from peers.process import Process  # noqa: E402
from peers.web import Answer  # noqa: E402

SERVICES = ["api", "consumer", "responder"]
DOCUMENTS = ["README.md", *sorted(f"docs/{name}" for name in os.listdir(f"{ROOT}/docs") if name.endswith(".md"))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def section(text, title):
    """What stands below a heading, up to the next of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.M | re.S)
    assert found, f"no section {title}"
    return found.group(2)


def rows(text, heading):
    """The cells of the table whose first cell is this heading."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    cells = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return cells


def run(*command, **settings):
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **SANITIZERS, **settings}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=patience.bound(None), cwd=ROOT)
    assert done.returncode == 0, done
    return done.stdout


# ---- settings: what the services print is what the page says ------------------------------------------

SETTINGS = "docs/SETTINGS.md"
MARK = "<!-- below: what the services print (--print-settings); python3 test/scenarios/test_docs.py writes it -->\n"


def printed():
    """Per service: the rows it prints, the two of the heading first."""
    return {name: run(program(f"fetchback-{name}"), "--print-settings").splitlines() for name in SERVICES}


def settings_page():
    said = printed()
    head = said["api"][:2]

    def rest(name, *others):
        return [row for row in said[name][2:] if all(row not in said[other] for other in others)]

    everybody = [row for row in said["api"][2:] if all(row in said[name] for name in SERVICES)]
    workers = [row for row in said["consumer"][2:] if row in said["responder"] and row not in everybody]
    parts = [
        ("All three services", everybody),
        ("api", rest("api", "consumer")),
        ("consumer and responder", workers),
        ("consumer", rest("consumer", "responder")),
        ("responder", rest("responder", "consumer")),
    ]
    text = "".join(f"\n## {title}\n\n" + "\n".join([*head, *lines]) + "\n" for title, lines in parts if lines)
    return text + "\n## fetchback up\n\n" + run(program("fetchback"), "up", "--print-settings")


def test_the_settings_page_is_what_the_services_print(programs):
    page = read(SETTINGS)
    assert MARK in page
    assert page.split(MARK)[1] == settings_page(), "run python3 test/scenarios/test_docs.py"


# ---- names: what a document names is there ------------------------------------------------------------


def sources():
    kept = ("libpipeline", "services", "cli", "test", "cmake", "config", "bench", "docker", "systemd", "deploy", "docs")
    found = [f"{ROOT}/dev", f"{ROOT}/CMakeLists.txt", f"{ROOT}/.ci/run"]
    for folder in kept:
        for path, folders, files in os.walk(f"{ROOT}/{folder}"):
            folders[:] = [name for name in folders if name != "node_modules"]
            found += [os.path.join(path, name) for name in files]
    return found


def code():
    text = []
    for path in sources():
        if path.endswith((".c", ".h", ".lua", ".py", ".cmake", ".conf", "/dev", "CMakeLists.txt")) and not path.endswith("test_docs.py"):
            with open(path, encoding="utf-8") as file:
                text.append(file.read())
    return "\n".join(text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    folder = os.path.dirname(os.path.join(ROOT, document))
    for target in re.findall(r"\]\(([^)]+)\)", read(document)):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(folder, path)) if path else os.path.join(ROOT, document)
        assert os.path.exists(path), f"{document} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", read(path), re.M)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in anchors, f"{document} links to {target}"


@pytest.mark.parametrize("document", ["README.md", "docs/PIPELINE.md", "docs/RATIONALE.md"])
def test_every_file_and_word_of_the_code_is_there(document):
    text, files = read(document), sources()
    known = code() + " ".join(os.path.splitext(os.path.basename(path))[0] for path in files)
    for name in set(re.findall(r"`([\w./-]+\.(?:c|h|lua|py|conf|md|cmake))`", text)):
        assert any(path.endswith(f"/{name}") for path in files) or os.path.exists(f"{ROOT}/{name}"), f"{document} names {name}"
    for name in set(re.findall(r"`((?:libpipeline|services|cli|test|docs|bench|config)/[\w./-]*/)`", text)):
        assert os.path.isdir(f"{ROOT}/{name}"), f"{document} names {name}"
    for word in set(re.findall(r"\b(?:[a-z0-9]+(?:_[a-z0-9]+)+|PL_[A-Z0-9_]+)\b", text)):
        assert re.search(rf"\b{word}\b", known), f"{document} speaks of {word}, the code does not"


# ---- keys and scripts ---------------------------------------------------------------------------------

PIPELINE = "docs/PIPELINE.md"


def scripts_of_code():
    """{verb: its arguments, as its head tells them}"""
    found = {}
    for path in glob.glob(f"{ROOT}/libpipeline/lua/*.lua"):
        verb = os.path.basename(path)[:-4]
        if verb == "lib":
            continue
        told = re.search(r"^-- ARGV: (.*(?:\n--   .*)*)", read(path), re.M)
        found[verb] = re.sub(r"\s*\n--\s*", " ", told.group(1)) if told else ""
    return found


def test_every_script_is_told_with_its_arguments():
    told = {cells[0].strip("`"): cells[1] for cells in rows(section(read(PIPELINE), "Scripts"), "script")}
    assert told == scripts_of_code()


def keys_of_code():
    """What keys begin with, and how much of it: 'r:', '<q>:l:', 'version' …"""
    found = set()
    for path in glob.glob(f"{ROOT}/libpipeline/lua/*.lua"):
        for queue, name in re.findall(r"\bT \.\. (q \.\. |'[fd]' \.\. )?'([^']+)'", read(path)):
            found.add(("<q>" if queue else "") + re.sub(r"^[fd](:[a-z]+)$", r"<q>\1", name))
    for path in glob.glob(f"{ROOT}/libpipeline/src/queue*.c"):
        for name in re.findall(r'\bTAG "([^"]+)"', read(path)):
            found.add(re.sub(r"%.*", "", re.sub(r"^%s:", "<q>:", name)))
    return found


def test_every_key_is_told():
    page = section(read(PIPELINE), "Redis keys")
    told = [cells[0].strip("`") for cells in rows(page, "key")]
    stems = {re.sub(r"(?<!^)<.*", "", key) for key in told}
    channels = {"tail", "ack"}
    assert all(f"`{channel}`" in page for channel in channels)
    in_code = keys_of_code() - channels
    assert len(in_code) > 15, "the code is read wrongly"
    missing = {key for key in in_code if key.rstrip(":") not in {stem.rstrip(":") for stem in stems}}
    assert not missing, f"not told: {missing}"
    lua = "\n".join(read(path) for path in glob.glob(f"{ROOT}/libpipeline/lua/*.lua"))
    lua += "\n".join(read(path) for path in glob.glob(f"{ROOT}/libpipeline/src/queue*.c"))
    for stem in stems:
        word = stem.replace("<q>", "")
        assert word in lua or word.rstrip(":") in lua, f"{stem} is told, the code has none"


PATTERNS = {"q": "[fd]", "p": "[hdl]", "id": "[0-9a-f-]{36}", "worker": "[0-9a-f]{32}", "minute": r"\d+", "k": r"\d+", "token": "[0-9a-f]+", "kind": "[id]", "owner": "[^:]*"}


def test_what_stands_in_redis_is_told_with_its_type(launch, provider, receiver, peer):
    """Everything at once: delayed, retried, failed, labelled, large, held by a worker."""
    pipeline = launch(TIME_SCALE=1)
    gate = stage.Gate()
    provider.answers(Answer(body=b"x" * 300_000), path="/large")
    provider.answers(404, path="/fails")
    provider.answers(503, path="/retried")
    provider.answers(Answer(hold=gate), path="/held")
    pipeline.wait(pipeline.post(provider.url("/large"), receiver.url(), labels=["a label"]), "delivered")
    pipeline.wait(pipeline.post(provider.url("/fails"), receiver.url()), "failed")
    pipeline.post(provider.url(), receiver.url(), delay="1h")
    pipeline.post(provider.url("/retried"), receiver.url())
    for _ in range(50):
        pipeline.post(provider.url("/held"), receiver.url())
    provider.holds(2)
    table = []
    for cells in rows(section(read(PIPELINE), "Redis keys"), "key"):
        pattern = re.sub(r"<(\w+)>", lambda hole: PATTERNS.get(hole.group(1), ".+"), re.sub(r"([.{}])", r"\\\1", cells[0].strip("`")))
        table.append((re.compile(r"\{f0\}:" + pattern + r"\Z"), {"sorted set": "zset"}.get(cells[1], cells[1])))
    seen = set()
    for key in pipeline.redis.call("KEYS", "*"):
        key = key.decode()
        kind = pipeline.redis.call("TYPE", key)
        fitting = [wanted for pattern, wanted in table if pattern.match(key)]
        assert fitting, f"{key} ({kind}) is not told"
        assert kind in (*fitting, "none"), f"{key} is a {kind}, told as {fitting}"
        seen.add(kind)
    assert seen >= {"string", "list", "hash", "zset"}
    gate.open()


# ---- the record, read by the tables of the page -------------------------------------------------------


def decode(text):
    """(fields of the head, [fields of each event], data of the block), by the page alone."""
    page = section(read(PIPELINE), "The record")
    head_names = [cells[0] for cells in rows(page, "field")]
    event_names = [cells[0] for cells in rows(page, "event field")]
    head, _, rest = text.partition(b"\n")
    events, data = [], None
    while rest:
        line, _, rest = rest.partition(b"\n")
        if line.startswith(b"="):
            data, rest = rest[: int(line[1:])], rest[int(line[1:]) + 1 :]
            continue
        fields = line.decode().split("\t")
        assert len(fields) <= len(event_names)
        events.append(dict(zip(event_names, fields + [""] * (len(event_names) - len(fields)))))
    fields = head.decode().split("\t")
    assert len(fields) == len(head_names)
    return dict(zip(head_names, fields)), events, data


def test_a_record_reads_as_the_page_tells(launch, provider, receiver):
    pipeline = launch()
    provider.answers(503, Answer(body=b'{"a":1}', type="application/json"))
    url, callback = provider.url(), receiver.url("/hook")
    request = pipeline.post(url, callback, priority="high", meta={"b": 2})
    record = pipeline.wait(request, "delivered")
    log = pipeline.logs(request)
    head, events, data = decode(pipeline.redis.call("GET", f"{{f0}}:r:{request}"))
    lane = url.split("/")[2]
    assert (head["priority"], head["starts in"], head["fetch lane"]) == ("h", "f", lane)
    assert (head["provider"], head["callback"]) == (url, callback)
    assert json.loads(head["options"]) == {"priority": "high", "meta": {"b": 2}}
    assert data == b'{"a":1}'
    assert [int(event["n"]) for event in events] == [line["n"] for line in log] == [1, 2, 3, 4]
    assert [event["name"] for event in events] == [line["event"] for line in log]
    made = [event for event in events if event["attempt"] not in ("", "0")]
    assert [{"f": "fetch", "d": "deliver"}[event["stage"]] for event in made] == [one["stage"] for one in record["attempts"]]
    assert [int(event["ms"]) for event in made] == [one["ms"] for one in record["attempts"]]
    assert [int(event["status"]) for event in made] == [one["status"] for one in record["attempts"]]
    accepted, retried, fetched, delivered = events
    assert retried["fault"] == record["attempts"][0]["error"]["code"] and retried["message"] and retried["until"]
    assert (fetched["kind"], fetched["bytes"], fetched["type"]) == ("j", "7", "application/json")
    assert [event["state"] for event in events] == ["q", "q", "f", "d"]
    assert [(event["fetches"], event["deliveries"], event["refetch"]) for event in events] == [
        ("0", "0", "0"), ("1", "0", "0"), ("2", "0", "0"), ("2", "1", "0"),
    ]  # fmt: skip
    assert [event["who"] for event in events] == ["ai", "cw", "ci", "ri"]
    assert accepted["stage"] == "-" and delivered["stage"] == "d"


# ---- what is tried again, told twice ------------------------------------------------------------------


def statuses(text):
    found = set()
    for first, last in re.findall(r"\b([2-5]\d\d)(?:–(\d{3}))?\b", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_the_answers_a_client_is_told_of_are_the_verdicts():
    told = rows(section(read("docs/API.md"), "The callback"), "outcome")
    for column, stage in ((1, "Fetch"), (2, "Deliver")):
        page = rows(section(read(PIPELINE), stage), "what came")
        for outcome, word in (("success", "done"), ("fails at once", "fail"), ("is tried again", "retry")):
            ours = set().union(*(statuses(cells[column]) for cells in told if cells[0].startswith(outcome)))
            theirs = set().union(*(statuses(cells[0]) for cells in page if cells[1].startswith(word)))
            if "any other status" not in " ".join(cells[column] for cells in told if cells[0].startswith(outcome)):
                assert ours == theirs, (stage, outcome)


# ---- the README, followed -----------------------------------------------------------------------------


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_every_verb_of_dev_is_one(programs):
    help_text = run(f"{ROOT}/dev", "help")
    verbs = set(re.findall(r"^  ([a-z]+)", help_text, re.M))
    suites = set(re.search(r"some of: (.*)", help_text).group(1).split())
    for document in DOCUMENTS:
        for verb, more in re.findall(r"\./dev ([a-z]+)((?: [a-z]+)*)", "\n".join([*blocks(read(document), "sh"), *re.findall(r"`([^`\n]+)`", read(document))])):
            assert verb in verbs, f"{document}: ./dev {verb}"
            if verb == "test":
                assert set(more.split()) <= suites, f"{document}: ./dev test{more}"


ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"


def normal(text):
    """Without what differs from one time to the next."""
    text = re.sub(ID, "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b\d+ ms\b", "MS", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
    return re.sub(r"(TIME) +\d+ ", r"\1 MS ", re.sub(r" {2,}", " ", text))


def test_the_first_request_of_the_readme_goes_as_told(cast, tmp_path, programs):
    """Its commands in order, ports and folder aside; every line shown must have been said."""
    part = section(read("README.md"), "A first request")
    api, peer = str(stage.free_port()), str(stage.free_port())
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **SANITIZERS, "TIME_SCALE": "10"}
    command = [program("fetchback"), "up", "--data-dir", str(tmp_path / "data"), "--port", api]
    up = cast(Process("up", command, str(tmp_path), env))
    up.launch()
    patience.until(lambda: f"POST to http://127.0.0.1:{api}" in up.log(), "up to say where to post")

    today = {"build/release/bin": BIN, "3001": api, "8000": peer}

    def mine(text):
        """In one pass: a port of today may have the page's in it."""
        return re.sub(rf"(?<!\w)({'|'.join(today)})(?!\w)", lambda word: today[word.group()], text)

    first, *commands = blocks(part, "sh")
    hook = cast(Process("hook", ["/bin/bash", "-c", "exec " + mine(first)], str(tmp_path), env))
    hook.launch()
    patience.until(lambda: can_connect(int(peer)), "the README's peer to listen")
    said = ""
    script = {**env, "FETCHBACK_API": f"http://127.0.0.1:{api}"}
    for block in commands:
        block = re.sub(ID, re.search(ID, said).group() if said else "", mine(block))
        said += patience.until(lambda: follow(block, script, tmp_path), f"what is shown below {block}")
    up.term()
    assert up.wait(30) == 0
    told = normal(said + hook.log() + up.log())
    for shown in blocks(part, "text"):
        for line in filter(str.strip, shown.splitlines()):
            if line.strip() != "…":
                assert normal(line).strip() in told, f"{line!r} was not said:\n{told}"


def can_connect(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def follow(block, env, folder):
    """What a block says; "" for a status or log that has not come to its end yet."""
    done = subprocess.run(["/bin/bash", "-ec", block], env=env, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    if "status" in block or "logs" in block:
        return done.stdout if "delivered" in done.stdout else ""
    return done.stdout


def write():
    page = read(SETTINGS).split(MARK)[0] + MARK + settings_page()
    with open(os.path.join(ROOT, SETTINGS), "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    write()
