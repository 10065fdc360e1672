"""Simulated fields held beside real ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protloc.atlas.simulate import expose, plan_fields, render_clean

SIDE = 512  # px; that of most of the real images, as shrinking takes the peaks off fine structures
FIELDS = 30
STAINS = ("red", "green", "blue", "yellow")
ROOT = Path(__file__).parents[1]
FIGURE = Path("docs/real-beside-simulated.png")  # shows real pixels: ignored by git, never to be passed on

Pictures = dict[str, list[NDArray[np.uint8]]]


@pytest.fixture(scope="module")
def simulated() -> Pictures:
    plans = plan_fields(FIELDS * 3, side=SIDE, seed=0)[::3]
    shots = [expose(render_clean(p, seed=0).stains, p.camera, rng=np.random.default_rng(p.index)) for p in plans]
    return {stain: [shot[row] for shot in shots] for row, stain in enumerate(STAINS)}


@pytest.fixture
def real(real_data: Path) -> Pictures:
    return real_pictures(real_data)


@cache
def real_pictures(folder: Path) -> Pictures:
    return {stain: [read_gray(file) for file in real_files(folder, stain)] for stain in STAINS}


def real_files(folder: Path, stain: str) -> list[Path]:
    files = sorted((folder / "unlabelled").glob(f"*_{stain}.png")) + sorted((folder / "fields").glob(f"*_{stain}.png"))
    return files + (sorted((folder / "green").glob("*_green.png")) if stain == "green" else [])


def read_gray(file: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def each(pictures: list[NDArray[np.uint8]], percentile: float) -> NDArray[np.float64]:
    return np.array([np.percentile(picture, percentile) for picture in pictures])


def zero_share(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    return np.array([(picture == 0).mean() for picture in pictures])


def nucleus_diameters(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the diameter of every nucleus clear of the border, in micrometres of a field 164 wide."""
    areas: list[float] = []
    for picture in pictures:
        smooth = cv2.GaussianBlur(picture, (0, 0), 2.0)
        level, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
        _, _, boxes, _ = cv2.connectedComponentsWithStats((smooth > level).astype(np.uint8))
        for x, y, width, height, area in boxes[1:]:
            if min(x, y) > 0 and max(x + width, y + height) < SIDE and area > 240:
                areas.append(area)
    return np.sqrt(np.array(areas) * 4 / np.pi) * 164 / SIDE


def fine_power(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the share of each picture's variance above 64 cycles a field."""
    frequency = np.fft.fftfreq(SIDE) * SIDE
    fine = np.hypot(frequency[:, None], frequency[None, :]) > 64
    powers = [np.abs(np.fft.fft2(picture - picture.mean())) ** 2 for picture in pictures if picture.any()]
    return np.array([power[fine].sum() / power.sum() for power in powers])


def middle_of(values: NDArray[np.float64], low: float = 20, high: float = 80) -> tuple[float, float]:
    return float(np.percentile(values, low)), float(np.percentile(values, high))


@pytest.mark.parametrize("stain", STAINS)
@pytest.mark.parametrize("percentile", [90, 99, 99.9])
def test_typical_brightness_is_that_of_typical_real_fields(
    real: Pictures, simulated: Pictures, stain: str, percentile: float
) -> None:
    low, high = middle_of(each(real[stain], percentile))
    assert low <= np.median(each(simulated[stain], percentile)) <= high


@pytest.mark.parametrize("stain", STAINS)
def test_backgrounds_are_as_often_exactly_zero(real: Pictures, simulated: Pictures, stain: str) -> None:
    low, high = middle_of(zero_share(real[stain]), 10, 90)
    shares = zero_share(simulated[stain])
    assert low <= np.median(shares) <= high
    assert np.ptp(middle_of(shares)) > 0.1  # they differ from field to field, as real ones do


@pytest.mark.parametrize("stain", STAINS)
def test_pictures_are_as_noisy(real: Pictures, simulated: Pictures, stain: str) -> None:
    low, high = middle_of(fine_power(real[stain]), 10, 90)
    assert low <= np.median(fine_power(simulated[stain])) <= high


def test_green_fields_differ_in_brightness_as_much_as_real_ones(real: Pictures, simulated: Pictures) -> None:
    spreads = [np.std(np.log(each(pictures["green"], 99) + 1)) for pictures in (real, simulated)]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.5)


def test_nuclei_have_real_sizes(real: Pictures, simulated: Pictures) -> None:
    sizes = [nucleus_diameters(pictures["blue"]) for pictures in (real, simulated)]
    assert np.median(sizes[1]) == pytest.approx(np.median(sizes[0]), rel=0.2)
    assert min(map(len, sizes)) > 100


def test_fields_hold_as_many_nuclei(real: Pictures, simulated: Pictures) -> None:
    counts = [len(nucleus_diameters(pictures["blue"])) / len(pictures["blue"]) for pictures in (real, simulated)]
    assert 0.5 < counts[1] / counts[0] < 2.0


def test_the_figure_shows_them_side_by_side(real: Pictures, simulated: Pictures, tmp_path: Path) -> None:
    ignored = str(FIGURE) in (ROOT / ".gitignore").read_text("utf-8")
    file = (ROOT if ignored else tmp_path) / FIGURE
    file.parent.mkdir(exist_ok=True)
    side_by_side(real, simulated).savefig(file, dpi=80)
    assert file.stat().st_size > 100_000


def side_by_side(real: Pictures, simulated: Pictures) -> Figure:
    """Draw a row a stain: four real pictures, then four simulated ones, at one gray scale."""
    figure = Figure(figsize=(16, 8.4), layout="constrained")
    axes = figure.subplots(4, 8)
    for row, stain in zip(axes, STAINS, strict=True):
        pictures = [*real[stain][1:12:3], *simulated[stain][2:32:8]]
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=160)
            axis.set_axis_off()
        row[0].set_title(f"real {stain}", loc="left")
        row[4].set_title(f"simulated {stain}", loc="left")
    return figure
