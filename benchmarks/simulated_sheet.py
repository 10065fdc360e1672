"""Draws docs/simulated.png: one simulated field a compartment, then the four stains of one field."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate import FieldPlan, expose, plan_fields, render_clean
from protloc.atlas.simulate.cells import CELL_LINES
from protloc.atlas.simulate.draw import FIELD_WIDTH
from protloc.atlas.vocabulary import load_vocabulary

COLUMNS = 7
ZOOM = 2.0  # fields of 82 µm: the patterns can be made out in a panel of 220 px
COLOURS = 128  # of the palette; keeps the picture below 1 MB
ORDERS = {22: "islands", 21: "islands"}  # contacts need neighbours
LINES = {21: "A-431", 22: "HaCaT"}  # the others are U-2 OS
# which field of 30 to 37 and which antibody of 1000 to 1007 show the pattern as textbooks do
PICKS = (1, 0, 0, 1, 0, 1, 1, 0, 4, 4, 3, 4, 1, 4, 3, 3, 1, 4, 1, 1, 4, 3, 6, 4, 5, 3, 4, 6)  # one a class
STRIP = ("red: microtubules", "green: protein (mitochondria)", "blue: nucleus", "yellow: reticulum", "all four")


def clear_plan(label: int, *, side: int, seed: int) -> FieldPlan:
    """Plan a field of one label as in a textbook: bright, sharp, every cell positive, no haze."""
    pick = PICKS[label]
    plan = plan_fields(60, side=side, seed=seed)[30 + pick]
    pixel = FIELD_WIDTH / ZOOM / side
    line = next(line for line in CELL_LINES if line.name == LINES.get(label, "U-2 OS"))
    antibody = replace(
        plan.antibody,
        index=1000 + pick,
        labels=(label,),
        weights=(1.0,),
        haze=(0.04, 0.02),
        uneven=0.15,
        positive=1.0,
    )
    layout = replace(
        plan.layout,
        line=line,
        pixel=pixel,
        order=ORDERS.get(label, "sheet"),
        must_divide=label == 17,
        must_part=label == 16,
    )
    camera = replace(
        plan.camera,
        pixel=pixel,
        focus=0.1,
        photons=(3000.0,) * 4,
        level=(330.0, 250.0, 230.0, 300.0),
        bleed=(0.0, 0.0),
        background=(0.01,) * 4,
        offset=(1.5,) * 4,
        hot=0.0,
    )
    return replace(plan, source=plan.index, antibody=antibody, layout=layout, camera=camera, twin=None)


def photograph(plan: FieldPlan, *, seed: int) -> NDArray[np.uint8]:
    """Return the four stains of a plan, shape (4, side, side), uint8."""
    return expose(render_clean(plan, seed=seed).stains, plan.camera, rng=np.random.default_rng(seed))


def composite(stains: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mix the stains as on a screen, landmarks dim; shape (side, side, 3), uint8, BGR as OpenCV writes it."""
    red, green, blue, yellow = stains.astype(np.float32)
    mixed = np.stack([0.6 * blue, green + 0.1 * yellow, 0.42 * red + 0.1 * yellow], axis=2)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def label_panel(panel: NDArray[np.uint8], words: str) -> NDArray[np.uint8]:
    """Write words into the upper left corner of a BGR panel."""
    marked = panel.copy()
    cv2.rectangle(marked, (0, 0), (8 + 7 * len(words), 17), (0, 0, 0), cv2.FILLED)
    cv2.putText(marked, words, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return marked


def sheet(*, side: int, seed: int) -> NDArray[np.uint8]:
    """Draw 28 panels, seven a row, and below them the four stains of one field and their composite; BGR."""
    panels = [
        label_panel(composite(photograph(clear_plan(label, side=side, seed=seed), seed=seed)), f"{label} {name}")
        for label, name in enumerate(load_vocabulary("kaggle2018").names)
    ]
    rows = [np.hstack(panels[start : start + COLUMNS]) for start in range(0, len(panels), COLUMNS)]
    return np.vstack([*rows, stain_strip(rows[0].shape[1], side=side, seed=seed)])


def stain_strip(width: int, *, side: int, seed: int) -> NDArray[np.uint8]:
    """Draw the four stains of a mitochondrial field in gray and their composite, side by side; BGR."""
    stains = photograph(clear_plan(23, side=side, seed=seed + 2), seed=seed + 2)
    grays = [cv2.cvtColor(stain, cv2.COLOR_GRAY2BGR) for stain in stains]
    strip = np.hstack([label_panel(p, words) for p, words in zip([*grays, composite(stains)], STRIP, strict=True)])
    return cv2.resize(strip, (width, round(strip.shape[0] * width / strip.shape[1])), interpolation=cv2.INTER_AREA)


def main() -> None:
    """Write the sheet where the command line says."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/simulated.png"))
    parser.add_argument("--side", type=int, default=220)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    picture = sheet(side=arguments.side, seed=arguments.seed)
    Image.fromarray(picture[:, :, ::-1].copy()).quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).save(
        arguments.out, optimize=True
    )
    print(f"{arguments.out}: {picture.shape[1]} x {picture.shape[0]} px, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
