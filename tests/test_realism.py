"""Distances between simulated fields and real ones."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def realism() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "realism.py")))


def test_a_distance_is_a_shift_in_standard_deviations(realism: SimpleNamespace) -> None:
    # the deviation of 0, 2, 4 is 2; all of them moved by 3
    assert realism.distance(np.array([0.0, 2, 4]), np.array([3.0, 5, 7])) == pytest.approx(1.5)
    assert realism.distance(np.zeros(4), np.ones(4), least=1.0) == pytest.approx(1.0)


def test_what_is_drawn_from_the_real_distribution_is_at_the_floor(realism: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    simulated = rng.normal(size=2000)
    distances = [realism.distance(rng.normal(size=15), simulated) for _ in range(200)]
    assert np.mean(distances) == pytest.approx(realism.floor(simulated, size=15), rel=0.1)


def test_nuclei_are_measured_in_micrometres(realism: SimpleNamespace) -> None:
    image = np.zeros((512, 512), np.uint8)
    for column in (156, 256, 356):
        cv2.circle(image, (column, 256), 25, 200, cv2.FILLED)
    diameter, spacing, number = realism.nuclei_of(image)
    assert diameter == pytest.approx(50 * 164 / 512, rel=0.05)
    assert spacing == pytest.approx(100 * 164 / 512, rel=0.01)
    assert number == 3


def test_half_a_field_of_cells_is_half_confluent(realism: SimpleNamespace) -> None:
    image = np.zeros((512, 512), np.uint8)
    image[:, :256] = 100
    assert realism.confluence(image) == pytest.approx(0.5, abs=0.03)


def test_a_wave_lies_in_the_octave_of_its_frequency(realism: SimpleNamespace) -> None:
    wave = 100 + 90 * np.sin(np.arange(512) * 2 * np.pi * 40 / 512)
    shares = realism.octave_shares(np.tile(wave, (512, 1)).astype(np.uint8))
    assert realism.OCTAVES[int(shares.argmax())] == 32
    assert shares.max() > 0.99


def test_white_noise_has_its_power_in_the_corners_too(realism: SimpleNamespace) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    # a circle of radius 256 in a square of side 512
    assert realism.octave_shares(noise).sum() == pytest.approx(np.pi / 4, abs=0.01)


def test_only_what_neither_halved_nor_reached_the_floor_is_marked(
    realism: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"zero share/red": 0.4, "zero share/blue": 0.6, "zero share/green": 0.9}
    quantities = [realism.Quantity(name, 0.5, 0.6, value, 0.5) for name, value in values.items()]
    realism.print_table(quantities, dict.fromkeys(values, 1.0))
    red, blue, green = capsys.readouterr().out.splitlines()[1:]
    assert not red.rstrip().endswith(("floor", "HALVED"))
    assert blue.endswith("at the floor")
    assert green.endswith("NOT HALVED")


def test_real_images_measured_against_themselves_are_at_distance_0(real_data: Path, realism: SimpleNamespace) -> None:
    real = realism.read_real(real_data)
    assert {stain: len(images) for stain, images in real.stains.items()} == {
        "red": 21,
        "green": 41,
        "blue": 21,
        "yellow": 21,
    }
    assert len(real.whole) == 6
    samples = realism.measure(real)
    assert all(quantity.distance == 0 for quantity in realism.hold_beside(samples, samples))
