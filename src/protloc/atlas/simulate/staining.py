"""Clean stains of a planned field, with the truth about every label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.draw import SPARSE, FieldPlan, Twin
from protloc.atlas.simulate.geometry import build_frame
from protloc.atlas.simulate.haze import draw_debris, draw_haze
from protloc.atlas.simulate.landmarks import blue_stain, draw_reticulum, grow_microtubules, red_stain, yellow_stain
from protloc.atlas.simulate.layers import draw_layers
from protloc.atlas.simulate.marks import lit
from protloc.atlas.simulate.patterns import PATTERNS
from protloc.atlas.simulate.scene import Scene
from protloc.atlas.simulate.textures import FloatImage, bright_end
from protloc.atlas.vocabulary import load_vocabulary

SPOT_GAIN = 1.8  # spots outshine what lies around them, else nobody would have labelled them
CREASE_DEPTH = 0.55  # how much darker DNA is along a fold of its nucleus
MASK_SHARE = 0.25  # of the bright end of a label's own light: brighter pixels belong to its mask


@dataclass(frozen=True)
class CleanField:
    """A field before the camera.

    Attributes:
        stains: Red, green, blue, yellow, shape (4, side, side), float32, 0 or more, 1 the bright end of each.
        masks: For every class id of the label set, where its light is, shape (side, side), bool.
    """

    stains: FloatImage
    masks: Mapping[int, NDArray[np.bool_]]


def render_clean(plan: FieldPlan, *, seed: int) -> CleanField:
    """Draw the four stains of a planned field without blur and noise.

    Args:
        plan: The field; equal plans of one seed give equal stains.
        seed: Seed of the atlas.
    """
    rng = np.random.default_rng([seed, 1, plan.source])
    frame = build_frame(plan.layout, rng)
    layers, debris = draw_layers(frame, rng), draw_debris(frame, rng)
    network, net = grow_microtubules(frame, rng), draw_reticulum(frame, rng)
    red, yellow = red_stain(frame, network, rng), yellow_stain(frame, net, rng)
    blue = blue_stain(frame, rng) * (1 - np.float32(CREASE_DEPTH) * frame.creases)
    lights = {
        label: layers.seen(_light(plan, label, Scene(frame, network, net, rng, _style(plan, label, seed)), seed))
        for label in plan.antibody.labels
    }
    haze = draw_haze(frame, plan.antibody.haze, rng, np.random.default_rng([seed, 4, plan.antibody.index]))
    green = sum(lights.values(), layers.seen(haze)) + (debris if any(plan.antibody.haze) else 0)
    stains = np.stack([layers.seen(red), green, layers.seen(blue), layers.seen(yellow)])
    stains = np.stack([np.maximum(stain, 0) / bright_end(stain) for stain in stains])
    masks = {label: light > MASK_SHARE * bright_end(light) for label, light in lights.items()}
    if plan.twin is None:
        return CleanField(stains, masks)
    return _turn(CleanField(stains, masks), plan.twin)


def _style(plan: FieldPlan, label: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 2, plan.antibody.index, label])


def _light(plan: FieldPlan, label: int, scene: Scene, seed: int) -> FloatImage:
    """Draw the pattern of one label with its strength in every cell; between the cells, as on bridges, it is 1."""
    antibody = plan.antibody
    name = load_vocabulary("kaggle2018").compartments[label].name
    image = lit(np.maximum(PATTERNS[name](scene), 0).astype(np.float32))
    own = np.exp(scene.rng.normal(0, 0.2, len(scene.cells)))
    strength = np.append(1.0, own * _strengths(plan, scene, np.random.default_rng([seed, 3, plan.source])))
    weight = antibody.weights[antibody.labels.index(label)] * (SPOT_GAIN if label in SPARSE else 1.0)
    return np.float32(weight) * image * strength.astype(np.float32)[scene.frame.label]


def _strengths(plan: FieldPlan, scene: Scene, shared: np.random.Generator) -> NDArray[np.float64]:
    """Draw how strong each cell is in all labels of the field, which rise and fall together.

    A fifth of the cells in view have a strength of 1 at least: a label that nobody could see is not given.
    """
    count, antibody = len(scene.cells), plan.antibody
    strength = scene.cells.brightness**0.5 * np.exp(shared.normal(0, antibody.uneven, count))
    strength *= np.where(shared.random(count) < antibody.positive, 1.0, shared.uniform(0.02, 0.3))
    in_view = np.unique(scene.frame.label[scene.frame.label > 0]) - 1
    return strength / min(float(np.quantile(strength[in_view], 0.8)), 1.0) if in_view.size else strength


def _turn(field: CleanField, twin: Twin) -> CleanField:
    stains = np.stack([_move(stain, twin) for stain in field.stains])
    masks = {label: _move(mask.astype(np.float32), twin) > 0.5 for label, mask in field.masks.items()}
    return CleanField(stains, masks)


def _move(image: FloatImage, twin: Twin) -> FloatImage:
    turned = np.rot90(image[:, ::-1] if twin.mirrored else image, twin.quarters)
    shift = np.round(np.array(twin.shift) * image.shape[0])
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    side = image.shape[0]
    moved = cv2.warpAffine(np.ascontiguousarray(turned), matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.float32)
