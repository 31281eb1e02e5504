"""
keys: a keys file (API_KEYS), and the pipeline as somebody with a key sees it.

    keys = Keys(tmp_path).write(("alice", "wonder"), ("op", "secret", "admin"))
    alice = keyed(launch(API_KEYS=keys.path), "wonder")
    alice.post(…), alice.record(…)
"""
import copy
import hashlib


def line(name, key, *more):
    return ":".join([name, hashlib.sha256(key.encode()).hexdigest(), *more])


class Keys:
    def __init__(self, folder):
        self.path = folder / "keys"

    def write(self, *lines):
        """Each: (name, key, "admin" and secrets if any)."""
        self.path.write_text("# name:sha256\n" + "".join(line(*one) + "\n" for one in lines))
        return self


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def keyed(pipeline, key):
    """The same pipeline: every call carries this key."""
    seen = copy.copy(pipeline)

    def call(method, path, body=None, headers=None, **more):
        return pipeline.call(method, path, body, {**bearer(key), **(headers or {})}, **more)

    seen.call = call
    return seen
