"""The page as a user meets it, in a browser."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

import protloc
from protloc.serve.app import create_app
from protloc.serve.examples import simulated_example
from protloc.serve.limits import Limits
from protloc.serve.models import Model

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
FIELD = "simulated-golgi-apparatus"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the starter model on a free port."""
    app = create_app({"starter": Model("starter", protloc.starter())}, Limits())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Open the page; nothing outside may be asked, nothing may go wrong in it."""
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(address)
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
    assert wrong == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the four files of a simulated field."""
    import base64

    folder = tmp_path_factory.mktemp("field")
    paths = []
    for each in simulated_example("Golgi apparatus").files:
        paths.append(folder / each.name)
        paths[-1].write_bytes(base64.b64decode(each.png))
    return paths


def send(page: Page, files: list[Path]) -> None:
    page.set_input_files("#files", [str(file) for file in files])
    expect(page.locator("#status")).to_contain_text("answered by starter", timeout=60_000)


def colours(page: Page) -> list[int]:
    """Return the sums of red, green and blue on the canvas."""
    return page.evaluate(
        """() => { const c = document.getElementById("picture");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; const s = [0, 0, 0];
        for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) s[k] += d[i + k]; return s; }"""
    )


def test_four_files_are_answered(page: Page, files: list[Path]) -> None:
    send(page, files)
    expect(page.locator("#classes tbody tr")).to_have_count(8)
    expect(page.locator("#caution")).to_contain_text("simulated fields only")
    page.click("#more")
    expect(page.locator("#classes tbody tr")).to_have_count(28)
    expect(page.locator("#sentence")).to_contain_text("expert")


def test_files_are_dropped(page: Page, files: list[Path]) -> None:
    contents = [(file.name, list(file.read_bytes())) for file in files]
    page.evaluate(
        """(files) => { const transfer = new DataTransfer();
        for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true })); }""",
        contents,
    )
    expect(page.locator("#status")).to_contain_text("1 field answered", timeout=60_000)


def test_stains_are_switched(page: Page, files: list[Path]) -> None:
    send(page, files)
    whole = colours(page)
    for stain in ("red", "yellow", "blue"):
        page.get_by_label(stain, exact=True).uncheck()
    red, green, blue = colours(page)
    assert (red, blue) == (0, 0)
    assert 0 < green <= whole[1]
    page.locator('input[type=color][aria-label="Colour of green"]').fill("#ff00ff")
    red, green, blue = colours(page)
    assert red > 0
    assert blue > 0
    assert green == 0


def test_a_compartment_shows_where_it_is_seen(page: Page, files: list[Path]) -> None:
    send(page, files)
    before = colours(page)
    first = page.locator("#classes tbody tr").first
    first.hover()
    expect(page.locator("#heat-note")).to_contain_text("evidence lies where", timeout=60_000)
    assert colours(page) != before
    page.mouse.move(0, 0)
    assert colours(page) == before
    first.focus()  # as a keyboard does
    expect(page.locator("#heat-note")).to_contain_text("evidence lies where")
    assert colours(page) != before


def test_the_picture_is_zoomed_by_keys(page: Page, files: list[Path]) -> None:
    send(page, files)
    before = colours(page)
    page.focus("#picture")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    assert colours(page) != before
    page.keyboard.press("0")
    assert colours(page) == before


def test_answers_are_downloaded(page: Page, files: list[Path], tmp_path: Path) -> None:
    send(page, files)
    for button, name in (("#csv", "answers.csv"), ("#json", "answers.json")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    rows = list(csv.DictReader((tmp_path / "answers.csv").open(encoding="utf-8")))
    assert len(rows) == 28
    assert {row["field"] for row in rows} == {FIELD}
    reply = json.loads((tmp_path / "answers.json").read_text("utf-8"))
    assert reply["fields"][0]["classes"][0]["name"] == rows[0]["compartment"]


def test_an_example_is_tried_and_remembered(page: Page) -> None:
    page.select_option("#example", "Mitochondria")
    expect(page.locator("#status")).to_contain_text("1 field answered", timeout=60_000)
    expect(page.locator("#visits button")).to_have_count(1)
    page.select_option("#example", "Nucleoli")
    expect(page.locator("#visits button")).to_have_count(2, timeout=60_000)
    page.locator("#visits button").last.click()
    expect(page.locator("#which")).to_have_value("simulated-mitochondria")


def test_names_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    evil = tmp_path / "<img src=x onerror=alert(1)>_green.png"
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    evil.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    send(page, [evil])
    expect(page.locator("#which")).to_have_value("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0


def test_a_mistake_is_told(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "a_green.png"
    broken.write_bytes(b"no image")
    page.set_input_files("#files", str(broken))
    expect(page.locator("#status.wrong")).to_contain_text("damaged, or no image", timeout=60_000)


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("desktop", 1280, 1100, "light"), ("phone", 390, 1400, "light"), ("dark", 1280, 1100, "dark")],
)
def test_it_fits(
    browser: Browser, address: str, files: list[Path], tmp_path: Path, name: str, width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # pyright: ignore[reportArgumentType]
    page = context.new_page()
    page.goto(address)
    send(page, files)
    page.locator("#classes tbody tr").first.hover()
    expect(page.locator("#heat-note")).to_contain_text("evidence lies where", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shots = Path(os.environ.get("PROTLOC_SCREENSHOTS", tmp_path))
    page.screenshot(path=shots / f"serve-{name}.png", full_page=True)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in dark.strip("rgb()").split(",")) < 200) == (scheme == "dark")
    context.close()
