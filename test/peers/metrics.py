"""
metrics: what a service tells Prometheus, asked and read.

    told = metrics.ask(port)
    told["fetchback_attempts_total", "stage=fetch", "verdict=retry"]
"""
import http.client
import re

from . import patience

SAMPLE = re.compile(r'(\w+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="([^"]*)"')
SERIES = re.compile(r"_(bucket|sum|count)$")


def get(port, path):
    """(status, headers, text)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience.bound(None))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def ask(port):
    status, headers, text = get(port, "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", (status, text)
    return Told(text)


class Family:
    def __init__(self, name):
        self.name, self.type, self.help = name, None, None
        self.labels = {}  # name: values in order, `le` left out


class Told:
    def __init__(self, text):
        self.text = text
        self.families, self.samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# "):
                _, word, name, rest = line.split(" ", 3)
                setattr(self.families.setdefault(name, Family(name)), word.lower(), rest)
            else:
                self._take(*SAMPLE.fullmatch(line).groups())

    def _take(self, name, labels, value):
        pairs = LABEL.findall(labels or "")
        key = (name, *sorted(f"{label}={said}" for label, said in pairs))
        assert key not in self.samples, f"{key} twice"
        self.samples[key] = float(value)
        family = self.families[name if name in self.families else SERIES.sub("", name)]
        for label, said in pairs:
            if label != "le" and said not in family.labels.setdefault(label, []):
                family.labels[label].append(said)

    def __getitem__(self, key):
        name, *labels = (key,) if isinstance(key, str) else key
        return self.samples[(name, *sorted(labels))]

    def get(self, key):
        """None where it is not told."""
        try:
            return self[key]
        except KeyError:
            return None
