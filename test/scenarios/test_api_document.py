"""
docs/API.md names every call there is, and no other; it shows an answer to each, and all that it shows fit
the api's description of itself.
"""
import json
import os
import re

from peers import openapi

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def routes():
    return set(re.findall(r'^\t\{ "([A-Z]+)", "([^"]+)",', read("services/api/routes.c"), re.M))


ID = "01a20131-7cf1-7000-8246-4d17e9c230a3"


def parsed(text):
    """The JSON of the page, where … stands for what is left out: for a value, for members, in an id."""
    text = re.sub(r": …", ': "https://left.example/out"', text).replace("01a2…", ID)
    text = re.sub(r"([{,]\s*)…", r'\1"…": 1', text)
    return json.loads(text, object_hook=lambda one: {name: value for name, value in one.items() if name != "…"})


class Shown:
    """A call and one of its answers, as the page has them."""

    def __init__(self, method, target, asked, status, said):
        self.method, self.path, self.status = method, target.partition("?")[0], int(status)
        self.route = method, re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "{id}", self.path)
        self.asked = asked[asked.find("{"):] if "{" in asked else ""
        said = re.sub(r"\n +[\w ]+:\s*$|\n +Location: .*", "", said).strip()  # "again:" tells of the next
        self.kind = "application/problem+json" if self.status >= 400 else "application/json"
        if self.path.endswith("/logs"):
            self.kind, said = "application/x-ndjson", re.sub(r",\n +", ", ", said)
        elif not said.startswith("{"):
            self.kind, said = "text/plain", ""
        self.said, self.is_part = said, re.search(r"[{,]\s*…", said) is not None

    def answer(self):
        lines = self.said.split("\n") if "ndjson" in self.kind else [self.said] if self.said else []
        body = "\n".join(json.dumps(parsed(line)) for line in lines)
        asked = json.dumps(parsed(self.asked)) if self.asked else ""
        return {
            "method": self.method, "path": self.path, "status": self.status, "headers": {"content-type": self.kind},
            "size": len(body), "body": body, "asked": asked,
        }  # fmt: skip


def shown():
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", read("docs/API.md"), re.M | re.S):
        for call in re.split(r"^(?=(?:GET|POST|DELETE) /)", "" if language else block, flags=re.M)[1:]:
            asked, *answers = re.split(r"^(?=\d{3}(?:\s|$))", call, flags=re.M)
            method, target, more = re.match(r"(\w+) (\S+)(.*)", asked, re.S).groups()
            found += [Shown(method, target, more, one[:3], one[3:]) for one in answers]
    return found


def is_left_out(fault, answers):
    """Only what the page does not show is missing: a header, or a member where it says so."""
    number = int(re.match(r"answer (\d+): ", fault).group(1))
    text = fault.split(": ", 2)[2].partition(" in {")[0]
    if answers[number].is_part:
        text = re.sub(r"data\S* must have required property '\w+'(, )?|its status is undefined", "", text)
    return text == "" or re.fullmatch(r"no [A-Z][\w-]+", text) is not None


def test_every_route_is_documented():
    table = re.search(r"^\| call \|.*?\n\n", read("docs/API.md"), re.M | re.S).group(0)
    documented = set(re.findall(r"`([A-Z]+) (/[^`?]*)`", table))
    assert len(routes()) > 20 and documented == routes(), documented ^ routes()


def test_every_route_has_an_answer_shown():
    assert {one.route for one in shown() if one.status < 300} == routes()


def test_each_answer_shown_fits_the_description():
    openapi.install()
    answers = [one for one in shown() if one.path != "/openapi.json"]
    assert len(answers) > 30 and sum(one.is_part for one in answers) < 15
    told = openapi.verdict(openapi.described(), [one.answer() for one in answers])
    faults = [fault for fault in told["faults"] if not is_left_out(fault, answers)]
    assert not faults, "\n".join(faults)


def test_every_waiting_reason_is_documented():
    reasons = {name for name in re.findall(r"^def test_(\w+)\(", read("test/scenarios/test_waiting.py"), re.M)}
    table = set(re.findall(r"^\| `(\w+)` \| (?:for|because|to)", read("docs/API.md"), re.M))
    assert table == reasons - {"what_moves_or_has_ended_waits_for_nothing"}
