"""Pictures of every page in both themes, for the documentation.

    python -m tests.dashboard.screenshots [--results DIR ...] [--out docs/images]

Needs Chromium and Playwright (`pip install 'flash-vaed[browser]'`).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dashboard.app import page_names
from tests.dashboard.browser import ROOT, Visit, browser, server, why_no_browser

VIEWS = {  # what a page shows in its picture, as a link
    "ablation": "?of=distill_phases", "anatomy": "?of=roofline", "training": "?of=distill_phases",
    "frames": "?of=quickstart",
}  # fmt: skip
LARGEST = 400_000  # bytes of a picture
HEIGHTS = {"ablation": 1700, "anatomy": 1980, "training": 1500, "frames": 1150, "published": 760}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", nargs="+", default=["results"])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--pages", nargs="+", default=page_names(), choices=page_names())
    given = parser.parse_args()
    if why := why_no_browser():
        raise SystemExit(why)
    given.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as cache,
        server(*given.results, cache=Path(cache)) as address,
        browser() as chromium,
    ):
        for theme in ("light", "dark"):
            for name in given.pages:
                print(take(chromium, address, name, theme, given.out))


def take(chromium: object, address: str, name: str, theme: str, out: Path) -> Path:
    """One picture; an error on the page, or a file that is too large, is an exception."""
    visit = Visit(chromium, address, theme, height=HEIGHTS.get(name, 1200))
    path = out / f"dashboard-{name}-{theme}.png"
    visit.open(f"{name}{VIEWS.get(name, '')}".removeprefix("pareto")).check()
    visit.page.screenshot(path=str(path))
    visit.close()
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST}")
    return path


if __name__ == "__main__":
    main()
