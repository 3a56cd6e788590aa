"""The dashboard in a real browser: a server of its own, and the system's Chromium through Playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
HARMLESS = (
    "Failed to load resource",
    "favicon",
    "ResizeObserver",
    "preload",
    "Permissions-Policy",
    "WebGL",
    "GPU",
    "swiftshader",
)


def why_no_browser() -> str:
    """Why the browser tests cannot run here; empty when they can."""
    if not CHROMIUM:
        return "needs Chromium: apt-get install chromium"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "needs Playwright: pip install 'flash-vaed[browser]'"
    return ""


@contextlib.contextmanager
def server(*folders: Path | str, cache: Path) -> Iterator[str]:
    """The address of a dashboard on these folders; its cache is `cache`. It ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--results", *map(str, folders)],
        cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": str(cache), "STREAMLIT_SERVER_PORT": str(port),
                       "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(address: str, process: subprocess.Popen, seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise RuntimeError(f"the dashboard ended with code {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the dashboard did not answer within {seconds} s")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield chromium
        finally:
            chromium.close()


class Visit:
    """One tab of a browser: what it shows, and every error it met."""

    def __init__(
        self, chromium: Any, address: str, theme: str = "light", width: int = 1440, height: int = 1000
    ) -> None:
        self.address = address
        context = chromium.contexts[0] if chromium.contexts else chromium.new_context()  # shared, for its HTTP cache
        self.page = context.new_page()
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=theme)
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("console", self._console)
        self.page.on("response", self._response)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str = "") -> Visit:
        """Go to a page by its path and query, and wait until it is done."""
        self.page.goto(f"{self.address}/{path}")
        self.page.wait_for_selector("h1")
        return self.settle()

    def settle(self) -> Visit:
        """Wait until the script has run and everything is drawn."""
        app = self.page.locator("[data-testid='stApp']")
        app.wait_for()
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=\"stApp\"]')?.dataset.testScriptState === 'notRunning'"
        )
        self.page.wait_for_function(ALL_DRAWN)
        self.page.wait_for_timeout(250)
        return self

    def check(self) -> Visit:
        """Fail on an exception on the page, an error in the console, or a plot that shows nothing."""
        assert self.page.locator("[data-testid='stException']").count() == 0, self.page.inner_text("body")[:2000]
        assert not self.errors, "\n".join(self.errors)
        for chart in self.page.locator("[data-testid='stPlotlyChart']").all():
            drawn = chart.locator(DRAWN).count() + chart.locator("canvas").count()
            assert drawn > 0, f"a plot shows nothing: {chart.inner_text()[:200]}"
        return self

    def choose(self, label: str, option: str) -> Visit:
        """Pick `option` in the select box called `label`."""
        box = self.page.get_by_role("combobox", name=label, exact=False).first
        box.click()
        self.page.get_by_role("option", name=option, exact=True).first.click()
        return self.settle()

    def close(self) -> None:
        self.page.close()

    def _response(self, response: Any) -> None:
        """Streamlit asks for `_stcore` below a page's own path first, and then at the root."""
        if response.status >= 400 and "_stcore" not in response.url and "favicon" not in response.url:
            self.errors.append(f"{response.status} {response.url}")

    def _console(self, message: Any) -> None:
        if message.type == "error" and not any(word in message.text for word in HARMLESS):
            self.errors.append(message.text)


ALL_DRAWN = """() => [...document.querySelectorAll('[data-testid="stPlotlyChart"]')]
    .every(chart => chart.querySelector('.main-svg'))
    && !document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]')"""
DRAWN = ".cartesianlayer .point, .cartesianlayer path.js-line, .cartesianlayer image, .polarlayer path.js-line"
