"""
The figures as Markdown: for a terminal and, between two markers, for docs/BENCHMARKS.md.
"""
BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"

# title, figure, decimals, True when more is better
ROWS = (
    ("delivered per second", "delivered", 0, True),
    ("CPU of all services and Redis, µs a request", "cpu", 0, False),
    ("… of it api", "cpu api", 0, False),
    ("… consumer", "cpu consumer", 0, False),
    ("… responder", "cpu responder", 0, False),
    ("… Redis", "cpu redis", 0, False),
    ("accepted per second, no worker running", "accepted", 0, True),
    ("CPU of api and Redis then, µs a request", "accept cpu", 0, False),
    ("latency at 500/s, p50, ms", "p50", 2, False),
    ("latency at 500/s, p99, ms", "p99", 2, False),
    ("latency at 500/s, p99.9, ms", "p999", 2, False),
    ("Redis bytes per queued request", "queued bytes", 0, False),
    ("Redis bytes per finished request kept", "finished bytes", 0, False),
    ("append-only file bytes per request", "aof bytes", 0, False),
    ("commands a second to Redis when idle, per service", "idle", 1, False),
    ("resident memory of the largest service, MB", "peak", 1, False),
)
# The peers keep nothing of a finished request; next to nothing is no measure for idleness.
RATIOS_WITHOUT_MEANING = {"finished bytes", "idle"}


def number(value, decimals):
    return f"{value:,.{decimals}f}"


def ratio(row, ours, theirs):
    _, figure, _, more_is_better = row
    if figure in RATIOS_WITHOUT_MEANING or not ours or not theirs:
        return ""
    value = ours / theirs if more_is_better else theirs / ours
    return f" ({value:.1f} ×)"


def table(appendfsync, results):
    """results: {contestant's name: figures}, the product first. In brackets: how many times better we are."""
    names = list(results)
    ours = results[names[0]]
    lines = [f"### `appendfsync {appendfsync}`", "", "| figure | " + " | ".join(names) + " |",
             "|---|" + "---:|" * len(names)]
    for row in ROWS:
        title, figure, decimals, _ = row
        cells = []
        for name in names:
            cell = number(results[name][figure], decimals)
            cells.append(cell if name == names[0] else cell + ratio(row, ours[figure], results[name][figure]))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_between_markers(path, text):
    with open(path) as file:
        page = file.read()
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    with open(path, "w") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
