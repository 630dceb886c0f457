"""The page in a real browser: Chromium, which `make browser` installs."""

import dataclasses
import os
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from restem.report.comparison import page as comparison_page
from restem.report.data import Slice
from restem.report.page import render
from tests.report.test_closer import run as run_with_closer  # noqa: F401 - a fixture
from tests.report.test_closer import write_closer
from tests.report.test_comparison import run as compared
from tests.report.test_component import read
from tests.report.test_page import tuned, with_seeds

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What the page's reader can do something with, in the order of the page.
REACHABLE = 'a[href], summary, [tabindex="0"]'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on this machine: make browser installs it")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root, as in containers.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=os.geteuid() != 0)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def pages(run_with_closer, tmp_path_factory):  # noqa: F811
    """A report with every part, and a comparison of runs: name -> address."""
    folders, made = run_with_closer
    write_closer(folders["candidate_run"], made)
    data = read(folders)
    slices = (Slice("site", "Ulm", 100, 0.99, 0.9), Slice("site", "", 4, 0.5, 1.0, judged=False))
    data = dataclasses.replace(
        data,
        candidate=with_seeds(data.candidate, 0.9, 0.95),
        baseline=with_seeds(data.baseline, 0.9, 0.8),
        verdict=dataclasses.replace(data.verdict, slices=slices),
        tuning=tuned(),
    )
    folder = tmp_path_factory.mktemp("pages")
    (folder / "report.html").write_text(render(data), encoding="utf-8")
    comparison_page([compared("first", made.candidate, made), compared("b" * 80, made.baseline, made)],
                    folder / "comparison.html")  # fmt: skip
    return {name: (folder / f"{name}.html").as_uri() for name in ("report", "comparison")}


@pytest.mark.parametrize("name", ["report", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_read_it(browser, pages, name, scheme):
    page = browser.new_page(color_scheme=scheme, bypass_csp=True)  # without it, axe cannot be added
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for width in (400, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(pages[name])
        for opened in (False, True):
            page.evaluate("open => document.querySelectorAll('details').forEach(one => { one.open = open })", opened)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} pixels at {width}, details open: {opened}"
        found = Axe().run(page)  # with contrast, names, roles and labels
        assert found.violations_count == 0, found.generate_report()
    assert said == []
    assert {url.split(":", 1)[0] for url in asked} <= {"file", "data"}
    page.close()


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_the_keyboard_reaches_everything(browser, pages, name):
    page = browser.new_page()
    page.goto(pages[name])
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    count = page.locator(REACHABLE).count()
    assert count > 0
    reached = []
    for _ in range(count):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(f"[...document.querySelectorAll('{REACHABLE}')].indexOf(document.activeElement)"))
    assert reached == list(range(count))
    page.close()
