"""
openapi: is what the api says what it says of itself? npm's ajv is the judge.

    openapi.verdict(description, heard.answers)      {"faults": […], "unseen": ["GET /queues 503", …]}
"""
import json
import os

from .. import node

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))


def install():
    node.install(HERE, "the api's description is not compared with its answers")


def described():
    with open(os.path.join(ROOT, "services", "api", "openapi.json"), encoding="utf-8") as file:
        return json.load(file)


def verdict(description, answers, bodies=()):
    """bodies: [{"schema", "value", "fits"}], values that a schema must take or refuse."""
    return node.run(HERE, "judge.js", {"description": description, "answers": answers, "bodies": list(bodies)})
