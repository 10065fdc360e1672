"""The page as a user meets it, in a browser."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

import protloc
from protloc.atlas.table import LabelTable
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.serve.app import create_app
from protloc.serve.examples import simulated_example
from protloc.serve.limits import Limits
from protloc.serve.models import Model, named_models
from protloc.verbs.embed import embed

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
PATIENCE = int(
    os.environ.get("PATIENCE", "60_000")
)  # ms that a slow machine may take; nothing waits this long where all is well
EXAMPLES = {"golgi": "Golgi apparatus", "mitochondria": "Mitochondria"}
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Return the four files of each of two simulated fields, which lie in one folder."""
    folder = tmp_path_factory.mktemp("fields")
    paths: dict[str, list[Path]] = {}
    for field, compartment in EXAMPLES.items():
        paths[field] = []
        for each in simulated_example(compartment).files:
            paths[field].append(folder / f"{field}_{each.name.rsplit('_')[-1]}")
            paths[field][-1].write_bytes(base64.b64decode(each.png))
    return paths


@pytest.fixture(scope="module")
def files(fields: dict[str, list[Path]]) -> list[Path]:
    return fields["golgi"]


@pytest.fixture(scope="module")
def models(fields: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Return the starter with an atlas of the two fields, and a small model that knows nothing."""
    starter, folder = protloc.starter(), tmp_path_factory.mktemp("models")
    ids = {each.name: each.id for each in starter.vocabulary.compartments}
    labels = tuple((ids[shown],) for shown in EXAMPLES.values())
    table = LabelTable(tuple(EXAMPLES), labels, starter.vocabulary, groups=tuple(EXAMPLES))
    atlas = embed(starter, fields["golgi"][0].parent, out=folder / "atlas.parquet", labels=table)
    network = build_network("baseline-cnn", stains=4, classes=28, side=32, seed=3)
    small = Bundle(
        backbone="baseline-cnn", vocabulary=starter.vocabulary, stains=starter.stains, side=32, rule=starter.rule,
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"}, protloc_version="0",
    )  # fmt: skip
    return named_models([("starter", starter), ("small", small)], [atlas.file])


@pytest.fixture(scope="module")
def address(models: dict[str, Model]) -> Iterator[str]:
    """Serve the models on a free port."""
    app = create_app(models, Limits(seconds=PATIENCE / 1000))
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
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS), timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open the page; nothing outside may be asked, nothing may go wrong in it."""
    contexts: list[BrowserContext] = []
    asked: list[str] = []
    wrong: list[str] = []

    def opened(**options: object) -> Page:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
    assert [each for each in wrong if "Failed to load resource" not in each] == []  # a refusal, which the page tells


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    return opened()


def send(page: Page, files: list[Path], *, by: str = "starter") -> None:
    page.set_input_files("#files", [str(file) for file in files])
    expect(page.get_by_role("status").first).to_contain_text(f"answered by {by} from")


def drop(page: Page, paths: list[Path]) -> None:
    """Drop files or folders on the page, as from a file manager."""
    box = page.locator("#drop").bounding_box()
    assert box is not None
    told = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        where = {"x": box["x"] + 20, "y": box["y"] + 20}
        session.send("Input.dispatchDragEvent", {"type": kind, **where, "data": told})


def colours(page: Page) -> list[int]:
    """Return the sums of red, green and blue on the canvas."""
    return page.evaluate(
        """() => { const c = document.getElementById("picture");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; const s = [0, 0, 0];
        for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) s[k] += d[i + k]; return s; }"""
    )


def test_four_files_are_dropped_and_answered(page: Page, files: list[Path]) -> None:
    drop(page, files)
    expect(page.locator("#status")).to_have_text("1 field answered by starter from red, green, blue, yellow.")
    expect(page.locator("#caution")).to_contain_text("simulated fields only")
    answers = page.get_by_role("region", name="Answers")
    expect(answers.locator("tbody tr")).to_have_count(8)
    first = answers.get_by_role("row").nth(1)
    expect(first.get_by_role("rowheader")).to_contain_text("Golgi apparatus")
    expect(first).to_contain_text(" %")
    link = first.get_by_role("link", name="GO:0005794, Golgi apparatus in the Gene Ontology, another site")
    expect(link).to_have_attribute("href", "https://amigo.geneontology.org/amigo/term/GO%3A0005794")
    answers.get_by_role("button", name="Show all 28 compartments").click()
    expect(answers.locator("tbody tr")).to_have_count(28)
    for verdict in ("present", "ask", "absent"):
        cells = answers.locator(f"td.{verdict}")
        assert all(verdict in words for words in cells.all_inner_texts())
    expect(page.locator("#sentence")).to_contain_text("absent.")


def test_a_folder_is_dropped_or_chosen(page: Page, fields: dict[str, list[Path]]) -> None:
    folder = fields["golgi"][0].parent
    drop(page, [folder])
    expect(page.locator("#status")).to_contain_text("2 fields answered")
    before = colours(page)
    page.get_by_label("Field shown").select_option("mitochondria")
    expect(page.get_by_role("img", name="mitochondria, 512 by 512 pixels")).to_be_visible()
    assert colours(page) != before
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#visits button")).to_have_count(2)


def test_a_stack_is_answered_as_its_stains(page: Page, files: list[Path], tmp_path: Path) -> None:
    planes = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
    stack = tmp_path / "stack.tif"
    stack.write_bytes(cv2.imencodemulti(".tif", planes)[1].tobytes())
    send(page, files)
    told = page.locator("#classes tbody").inner_text()
    drop(page, [stack])
    expect(page.get_by_label("Field shown")).to_have_value("stack.tif")
    expect(page.locator("#classes tbody")).to_have_text(told, use_inner_text=True)


def test_stains_are_switched_coloured_and_stretched(page: Page, files: list[Path]) -> None:
    send(page, files)
    whole = colours(page)
    for stain in ("red", "yellow", "blue"):
        page.get_by_label(stain, exact=True).uncheck()
    red, green, blue = colours(page)
    assert (red, blue) == (0, 0)
    assert 0 < green <= whole[1]
    contrast = page.get_by_label("Contrast of green")
    contrast.focus()
    page.keyboard.press("End")  # to the most
    assert colours(page)[1] > green
    page.get_by_label("Colour of green").fill("#ff00ff")
    red, green, blue = colours(page)
    assert red > 0
    assert blue > 0
    assert green == 0


def test_a_compartment_shows_where_it_is_seen(page: Page, files: list[Path]) -> None:
    send(page, files)
    before, note = colours(page), page.locator("#heat-note")
    golgi, second = page.locator("#classes tbody tr").nth(0), page.locator("#classes tbody tr").nth(1)
    golgi.hover()
    expect(note).to_contain_text("Golgi apparatus: seen most at the")
    seen = colours(page)
    assert seen != before
    page.mouse.move(0, 0)
    expect(note).to_contain_text("Point at a compartment")
    assert colours(page) == before
    golgi.get_by_role("button").focus()  # as a keyboard does
    expect(note).to_contain_text("Golgi apparatus: seen most at the")
    expect(note).to_contain_text("What the other stains add")
    assert colours(page) == seen
    page.keyboard.press("Enter")  # keeps it
    expect(golgi.get_by_role("button", pressed=True)).to_have_count(1)
    second.hover()
    expect(note).not_to_contain_text("Golgi apparatus")
    page.mouse.move(0, 0)
    expect(note).to_contain_text("Golgi apparatus: seen most at the")
    assert colours(page) == seen


def test_the_picture_is_zoomed(page: Page, files: list[Path]) -> None:
    send(page, files)
    whole, picture = colours(page), page.get_by_role("img", name="golgi, 512 by 512 pixels")
    picture.focus()
    page.keyboard.press("+")
    near = colours(page)
    assert near != whole
    page.keyboard.press("ArrowLeft")
    assert colours(page) != near
    page.keyboard.press("0")
    assert colours(page) == whole
    page.get_by_role("button", name="Closer").click()
    assert colours(page) == near
    picture.hover()
    page.mouse.down()
    page.mouse.move(0, 0)
    page.mouse.up()
    assert colours(page) != near
    page.get_by_role("button", name="Farther").click()
    assert colours(page) == whole
    picture.click()
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.getElementById('picture').classList.contains('near')")
    page.get_by_role("button", name="Whole field").click()
    assert colours(page) == whole


def test_answers_are_downloaded(page: Page, files: list[Path], tmp_path: Path) -> None:
    send(page, files)
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {kind.upper()}").click()
        assert download.value.suggested_filename == f"answers.{kind}"
        download.value.save_as(tmp_path / f"answers.{kind}")
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 28
    assert {row["field"] for row in rows} == {"golgi"}
    field = json.loads((tmp_path / "answers.json").read_text("utf-8"))["fields"][0]
    assert "pictures" not in field
    for row, told in zip(rows, field["classes"], strict=True):
        assert (row["compartment"], row["go"], row["answer"]) == (told["name"], told["go"], told["verdict"])
        assert float(row["probability"]) == told["probability"]


def test_examples_are_tried_and_remembered(page: Page) -> None:
    examples = page.get_by_role("group", name="Simulated examples")
    examples.get_by_role("button", name="Mitochondria").click()
    expect(page.get_by_label("Field shown")).to_have_value("simulated-mitochondria")
    examples.get_by_role("button", name="Golgi apparatus").click()
    expect(page.get_by_label("Field shown")).to_have_value("simulated-golgi-apparatus")
    history = page.get_by_role("region", name="This visit").get_by_role("button")
    expect(history).to_have_count(2)
    history.last.click()
    expect(page.get_by_label("Field shown")).to_have_value("simulated-mitochondria")
    expect(history.last).to_have_attribute("aria-current", "true")


def test_another_model_is_asked_about_the_same_files(page: Page, files: list[Path]) -> None:
    send(page, files)
    assert page.get_by_role("combobox", name="Model").locator("option").all_inner_texts() == ["starter", "small"]
    page.get_by_role("combobox", name="Model").select_option("small")
    expect(page.locator("#caution")).to_be_hidden()
    expect(page.locator("#notes")).to_contain_text("simulated fields only")  # the answers are still the starter's
    page.get_by_role("button", name="Ask small about the same files").click()
    expect(page.locator("#status")).to_contain_text("answered by small")
    expect(page.locator("#again")).to_be_hidden()
    send(page, files, by="small")
    page.locator("#classes tbody tr").first.hover()
    expect(page.locator("#heat-note")).to_contain_text("seen most at the")


def test_neighbours_of_the_atlas_are_named(page: Page, files: list[Path], tmp_path: Path) -> None:
    again = [tmp_path / file.name.replace("golgi", "again") for file in files]
    for mine, file in zip(again, files, strict=True):
        shutil.copy(file, mine)
    send(page, again)
    first = page.get_by_role("list", name="Labelled fields the model sees alike").get_by_role("listitem").first
    expect(first).to_have_text("Golgi apparatus (golgi, similarity 1.00)")


def test_warnings_and_intervals_are_shown(page: Page, address: str, files: list[Path]) -> None:
    def with_doubts(route: Route) -> None:
        sent = [("files", (file.name, file.read_bytes())) for file in files]
        reply = httpx.post(f"{address}/v1/predict?pictures=true", files=sent, timeout=PATIENCE / 1000).json()
        field = reply["fields"][0]
        field["classes"][0] |= {"probability": 0.84, "low": 0.61, "high": 0.953}
        field["classes"][1] |= {"low": None, "high": None}
        field["warnings"] = [
            {"code": "order", "severity": "serious", "sentence": "Blue shows <b>no</b> nuclei.", "remedy": "Swap it."},
            {"code": "focus", "sentence": "Green is out of focus.", "remedy": "Choose another plane."},
        ]
        route.fulfill(json=reply)

    page.route("**/v1/predict*", with_doubts)
    send(page, files)
    rows = page.locator("#classes tbody tr")
    expect(rows.nth(0)).to_contain_text("84 % (61 % to 95 %)")
    expect(rows.nth(1).locator(".interval")).to_have_count(0)
    whisker = rows.nth(0).locator(".bar line").first
    assert [float(whisker.get_attribute(end) or "") for end in ("x1", "x2")] == pytest.approx([61, 95.3])
    expect(rows.nth(1).locator(".bar line")).to_have_count(0)
    expect(page.locator("#classes caption")).to_contain_text("95 % interval")
    warnings = page.get_by_role("list", name="What to look at first").get_by_role("listitem")
    expect(warnings).to_have_text(
        ["Blue shows <b>no</b> nuclei. Swap it.", "Green is out of focus. Choose another plane."]
    )
    expect(warnings.first).to_have_class("serious")
    above, below = warnings.last.bounding_box(), page.locator("#sentence").bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]


def test_names_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    evil = tmp_path / "<img src=x onerror=alert(1)>_green.png"
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    evil.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    send(page, [evil])
    expect(page.get_by_label("Field shown")).to_have_value("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0


def test_mistakes_are_told(page: Page, files: list[Path], tmp_path: Path) -> None:
    status = page.locator("#status.wrong")
    broken, text = tmp_path / "a_green.png", tmp_path / "notes.txt"
    broken.write_bytes(b"no image")
    text.write_text("words", "utf-8")
    page.set_input_files("#files", str(broken))
    expect(status).to_contain_text("damaged, or no image")
    page.set_input_files("#files", str(text))
    expect(status).to_have_text("No PNG, TIFF or JPEG file was given.")
    page.set_input_files("#files", [str(file) for file in (*files, broken)])
    expect(status).to_contain_text("1 field answered by starter")  # what could be read, beside what could not
    expect(status).to_contain_text("a: no red and blue and yellow image")
    renamed = tmp_path / "x_ch01.png"
    shutil.copy(files[1], renamed)
    page.get_by_text("My files are named otherwise").click()
    page.get_by_label("Stains, and what their file names end in").fill("green=_ch01")
    send(page, [renamed])
    expect(page.locator("#notes")).to_contain_text("No red or blue or yellow image was given")


def test_a_token_is_asked_for(page: Page, address: str) -> None:
    def guarded(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, json={"detail": "This server asks for a token."})

    page.route("**/v1/**", guarded)
    page.goto(address)
    expect(page.locator("#status.wrong")).to_have_text("This server asks for a token.")
    page.get_by_label("Token").fill("secret")
    page.get_by_label("Token").press("Tab")
    page.get_by_role("button", name="Mitochondria").click()
    expect(page.locator("#status")).to_contain_text("1 field answered")


def test_it_is_used_by_keyboard_and_screen_reader(page: Page) -> None:
    def focused() -> str:
        return page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")

    def tab_to(words: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if focused() == words:
                return
        raise AssertionError(f"Tab does not reach {words}")

    expect(page.get_by_role("button", name="Mitochondria")).to_be_visible()
    page.keyboard.press("Tab")
    assert focused() == "To the answers"
    tab_to("files")
    tab_to("Mitochondria")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="1 field answered")).to_be_visible()
    for words in ("which", "picture", "closer", "Mitochondria", "GO:0005739", "more", "csv"):
        tab_to(words)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, a, canvas, section, table")].filter((each) =>
        !(each.labels?.length || each.ariaLabel || each.textContent.trim() || each.getAttribute("aria-labelledby")))
        .map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    page.keyboard.press("Shift+Tab")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answers"


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("desktop", 1280, 1000, "light"), ("phone", 390, 844, "light"), ("dark", 1280, 1000, "dark")],
)
def test_it_fits(
    opened: Callable[..., Page], files: list[Path], tmp_path: Path, name: str, width: int, height: int, scheme: str
) -> None:
    page = opened(viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=name == "phone")
    send(page, files)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shots = Path(os.environ.get("PROTLOC_SCREENSHOTS", tmp_path))
    page.screenshot(path=shots / f"page-{name}.png", full_page=True)
    page.locator("#classes tbody tr button").first.press("Enter")
    page.locator("#more").press("Enter")  # the mouse stays away from the rows
    page.locator("#classes tbody tr").nth(16).scroll_into_view_if_needed()
    expect(page.locator("#heat-note")).to_contain_text("Golgi apparatus: seen most at the")
    expect(page.locator("#picture")).to_be_in_viewport(ratio=0.99)  # beside the rows, on a phone too
    if scheme == "light":
        page.screenshot(path=shots / f"page-{name}-heat.png")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in dark.strip("rgb()").split(",")) < 200) == (scheme == "dark")
