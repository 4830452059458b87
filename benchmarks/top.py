"""What `tether top` costs: a page of 50,000 series, and one of 500, parsed, kept and drawn.

python -m benchmarks.top [SERIES]
"""

import sys
import time

from tether.top.exposition import parse
from tether.top.screen import screen
from tether.top.source import Answer, Source
from tether.top.view import View

AIM = "1 s for 50,000, 10 ms for 500"
SCRAPES = 6


def page(series: int, step: int) -> str:
    """A page in which every second series moves."""
    lines = ["# HELP requests_total Requests.", "# TYPE requests_total counter"]
    lines += [
        f'requests_total{{method="GET",path="/api/v1/things/{number}",code="200"}} {number + step * (number % 2)}'
        for number in range(series)
    ]
    return "\n".join(lines) + "\n"


def measured(series: int) -> list[dict[str, float]]:
    """Scrape some times; seconds of CPU for each scrape, by what they were spent on."""
    view, known = View([Source("server")], folded=False), dict[str, str]()
    found = []
    for step in range(SCRAPES):
        text = page(series, step)
        start = time.process_time()
        answer = Answer(float(step + 1), parse(text, known=known), 0.0, len(text))
        parsed = time.process_time()
        view.take(0, answer)
        kept = time.process_time()
        screen(view, 160, 50, step + 1)
        drawn = time.process_time()
        found.append({"parse": parsed - start, "keep": kept - parsed, "draw": drawn - kept})
    return found


def main(series: int = 50_000) -> None:
    """Measure, and print."""
    for number in sorted({500, series}):
        first, *rest = measured(number)
        later = {name: sum(one[name] for one in rest) / len(rest) for name in first}
        for name, costs in (("first", first), ("later", later)):
            parts = ", ".join(f"{what} {cost * 1000:.1f}" for what, cost in costs.items())
            print(
                f"{number} series, {name} scrape: {sum(costs.values()) * 1000:.1f} ms of CPU ({parts})"
            )
    print(f"(aim: {AIM})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
