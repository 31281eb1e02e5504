"""
heard: what the api was heard to say in this test run, one answer of each shape that a path and status
had: a run has thousands alike. Every call of a pipeline is noted; test_openapi.py judges those of its
own process, and conftest.py at the end those of all processes of the run, which share a folder.
"""
import json
import os

WORD = 23  # characters; what is longer, a time or an id, is not one of a few words


def shape(value):
    """What a schema sees of a value: two answers of one shape are one to it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{shape(inner)}" for name, inner in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted({shape(inner) for inner in value})) + "]"
    if isinstance(value, str):
        return value if len(value) <= WORD else "text"
    return type(value).__name__


def shape_of(text):
    try:
        return shape(json.loads(text))
    except (ValueError, RecursionError):
        return text[:1000]


class Heard:
    def __init__(self):
        self.answers = []
        self._shapes = set()
        self._folder = None

    def share(self, folder):
        """From now on others of this run can read what is noted here."""
        self._folder = folder

    def note(self, method, target, asked, reply):
        path, kind = target.partition("?")[0], reply.headers.get("Content-Type", "")
        is_theirs = path.endswith("/data") and reply.status < 300  # what a provider said
        is_text = not is_theirs and ("json" in kind or kind.startswith("text/event-stream"))
        body = reply.body.decode(errors="replace") if is_text else ""
        asked = _text(asked) if reply.status < 300 else ""
        route = "/".join("{id}" if len(part) == 36 else part for part in path.split("/"))
        seen = (method, route, reply.status, kind, shape_of(asked), shape_of(body))
        if seen in self._shapes:
            return
        self._shapes.add(seen)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        answer = {
            "method": method, "path": path, "status": reply.status, "headers": headers,
            "size": len(reply.body), "body": body, "asked": asked,
        }  # fmt: skip
        self.answers.append(answer)
        if self._folder:
            with open(os.path.join(self._folder, str(os.getpid())), "ab", buffering=0) as file:
                file.write(json.dumps(answer).encode() + b"\n")  # at once: threads do this, too


def _text(asked):
    return asked.decode(errors="replace") if isinstance(asked, bytes) else asked or ""


def by_all(folder):
    """What every process that shares this folder has noted."""
    answers = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            answers += [json.loads(line) for line in file]
    return answers


heard = Heard()
