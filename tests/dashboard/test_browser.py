"""The dashboard as people meet it: a real server, a real browser, the committed results."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import records
from tests.dashboard.browser import ROOT, Visit, browser, server, why_no_browser
from tests.synthetic_results import generation, make_run, scored, store

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser() or "-")

PAGES = ("", "ablation", "anatomy", "training", "frames", "end_to_end", "runs", "published")
OPENS_WITHIN_S = 40.0  # from nothing on a machine that does other things; docs/dashboard.md says what it takes alone


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with server(ROOT / "results", cache=tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A dashboard on a made-up run with pictures and a made-up pipeline."""
    folder = store(tmp_path_factory.mktemp("results"), make_run("r", label="<b>bold</b>"), generation("g"), scored("v"))
    across = np.linspace(0, 255, 96, dtype=np.uint8)
    still = np.stack([np.broadcast_to(across, (64, 96))] * 3, axis=-1)
    for who, shift in (("source", 0), ("teacher", 4), ("student", 12)):
        frames = np.stack([np.roll(still, n + shift, axis=1) for n in range(6)])
        records.write_frames(folder, "r", "bikes", who, frames)
    with server(folder, cache=tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture
def visit(chromium, address):
    found = Visit(chromium, address)
    yield found
    found.close()


def test_it_opens_soon(chromium, address):
    start_s = time.monotonic()
    visit = Visit(chromium, address).open()
    assert time.monotonic() - start_s < OPENS_WITHIN_S
    visit.check().close()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_itself_without_an_error(visit, page):
    visit.open(page).check()
    assert visit.page.locator("h1").inner_text()


@pytest.mark.parametrize("page", ["", "anatomy"])
def test_the_dark_theme_is_dark_and_whole(chromium, address, page):
    visit = Visit(chromium, address, theme="dark").open(page).check()
    colour = visit.page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert max(int(part) for part in colour.strip("rgb()").split(",")[:3]) < 64
    visit.close()


def test_a_filter_changes_the_picture_and_the_link(visit):
    visit.open().choose("Up", "SSIM against source").check()
    assert "y=ssim_source" in visit.page.url
    assert "SSIM against source" in visit.page.locator(".ytitle").first.text_content()
    again = visit.page.url.removeprefix(visit.address + "/")
    visit.open(again).check()
    assert "SSIM against source" in visit.page.locator(".ytitle").first.text_content()


def test_a_link_brings_a_view_back(visit):
    visit.open("ablation?of=distill_phases&control=full&read=psnr_teacher").check()
    assert "Better than full" in visit.page.inner_text("body") or "Worse than full" in visit.page.inner_text("body")
    assert "What is each phase of the distillation worth" in visit.page.inner_text("body")


def test_a_click_on_a_point_chooses_its_run_on_the_other_pages(visit):
    visit.open()
    box = visit.page.locator(".scatterlayer .trace .point").last.bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.get_by_text("1 run(s) chosen").wait_for()
    visit.settle().check()
    assert "run=" in visit.page.url
    visit.page.get_by_role("link", name="Runs").click()
    visit.page.get_by_role("heading", name="One run").wait_for()
    visit.settle().check()
    assert "1 run(s) chosen" in visit.page.inner_text("body")
    assert "run=" in visit.page.url


def test_a_table_can_be_taken_away(visit):
    visit.open("runs")
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("button", name="Parquet").first.click()
    table = pd.read_parquet(waiting.value.path())
    assert len(table) == len(list((ROOT / "results" / "runs").glob("*.parquet")))
    visit.check()


def test_frames_slide_play_and_show_their_error(chromium, pictures):
    visit = Visit(chromium, pictures).open("frames?clip=bikes").check()
    frame = visit.page.frame_locator("iframe").first
    screen = frame.locator("#screen")
    frame.locator("#screen[data-drawn]").wait_for()
    before = screen.screenshot()
    frame.locator("#divider").fill("0.1")
    assert screen.get_attribute("data-drawn").endswith("0.1")
    assert screen.screenshot() != before, "the line has moved"
    box = screen.bounding_box()
    visit.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20)
    visit.page.mouse.up()
    assert float(screen.get_attribute("data-drawn").split()[-1]) == pytest.approx(0.75, abs=0.02)
    frame.locator("#mode").select_option("error map")
    assert "PSNR of this view" in frame.locator("#said").inner_text()
    frame.locator("#two").select_option("student")
    assert "identical" in frame.locator("#said").inner_text(), "a clip is itself"
    frame.locator("#mode").select_option("side by side")
    shown = screen.get_attribute("data-drawn")
    frame.locator("#play").press("Enter")
    visit.page.wait_for_timeout(600)
    assert screen.get_attribute("data-drawn") != shown, "all play"
    visit.check().close()


def test_pipelines_are_drawn(chromium, pictures):
    visit = Visit(chromium, pictures).open("end_to_end").check()
    assert visit.page.locator("[data-testid='stPlotlyChart']").count() == 2
    assert "Amdahl" in visit.page.inner_text("body")
    visit.close()


def test_nothing_outside_this_machine_is_asked_for(chromium, address):
    visit = Visit(chromium, address)
    asked = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.open().check()
    strangers = [url for url in asked if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))]
    assert strangers == []
    visit.close()


def test_a_page_that_is_broken_is_noticed(chromium, address):
    """The net itself: an error in the console, and a plot without a mark, fail the check."""
    visit = Visit(chromium, address).open()
    visit.page.evaluate("console.error('planted')")
    with pytest.raises(AssertionError, match="planted"):
        visit.check()
    visit.errors.clear()
    visit.page.evaluate("document.querySelectorAll('.cartesianlayer').forEach(layer => layer.remove())")
    with pytest.raises(AssertionError, match="shows nothing"):
        visit.check()
    visit.close()


def test_the_committed_pictures_are_small():
    pictures = sorted((ROOT / "docs" / "images").glob("dashboard-*.png"))
    assert len(pictures) == 2 * len(PAGES), "make them with: python -m tests.dashboard.screenshots"
    assert all(Path(path).stat().st_size < 400_000 for path in pictures)
