"""docs/API.md names every call there is, and no other."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def test_every_route_is_documented():
    routes = set(re.findall(r'^\t\{ "([A-Z]+)", "([^"]+)",', read("services/api/routes.c"), re.M))
    table = re.search(r"^\| call \|.*?\n\n", read("docs/API.md"), re.M | re.S).group(0)
    documented = set(re.findall(r"`([A-Z]+) (/[^`?]*)`", table))
    assert len(routes) > 20 and documented == routes, documented ^ routes


def test_every_waiting_reason_is_documented():
    reasons = {name for name in re.findall(r"^def test_(\w+)\(", read("test/scenarios/test_waiting.py"), re.M)}
    table = set(re.findall(r"^\| `(\w+)` \| (?:for|because|to)", read("docs/API.md"), re.M))
    assert table == reasons - {"what_moves_or_has_ended_waits_for_nothing"}
