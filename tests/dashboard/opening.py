"""How long the dashboard takes from asking for its address to a drawn first page, in headless Chromium.

    python -m tests.dashboard.opening [--results DIR ...] [--repeats 5]

Three cases: the first visit of a server that has just started, with nothing kept on disk; a browser that was never here
at a server that is warm; a browser that has been here. Needs Chromium and Playwright.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.dashboard.browser import DRAWN, browser, server, why_no_browser

PLOT = f"[data-testid='stPlotlyChart'] {DRAWN}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", nargs="+", default=["results"])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if why := why_no_browser():
        raise SystemExit(why)
    cases: dict[str, list[float]] = {"first start": [], "new browser": [], "known browser": []}
    for _ in range(given.repeats):
        with tempfile.TemporaryDirectory() as cache, server(*given.results, cache=Path(cache)) as address:
            for case in ("first start", "new browser"):
                with browser() as chromium:
                    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
                    context.new_page().goto("about:blank")  # the browser itself has started
                    cases[case].append(_seconds(context, address))
                    if case == "new browser":
                        cases["known browser"].append(_seconds(context, address))
    for case, seconds in cases.items():
        print(f"{case:<14} median {statistics.median(seconds):.2f} s   {' '.join(f'{one:.2f}' for one in seconds)}")


def _seconds(context: Any, address: str) -> float:
    """From asking for the page to a plot with points on it."""
    page = context.new_page()
    start_s = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(PLOT, state="attached", timeout=60_000)
    seconds = time.perf_counter() - start_s
    page.close()
    return seconds


if __name__ == "__main__":
    main()
