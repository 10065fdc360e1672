"""Simulated fields to try a model with."""

from __future__ import annotations

from functools import cache
from threading import Lock

import numpy as np
from pydantic import BaseModel

from protloc.atlas.simulate import expose, plan_fields, render_clean
from protloc.atlas.simulate.camera import STAINS
from protloc.atlas.vocabulary import load_vocabulary
from protloc.serve.replies import png_of

SIDE, SEED, LOOKED_THROUGH = 512, 20, 400
SHOWN = ("Nucleoplasm", "Mitochondria", "Golgi apparatus", "Microtubules", "Nucleoli", "Plasma membrane")


_ONE_DRAWS = Lock()


class ExampleFile(BaseModel):
    """One stain of an example."""

    name: str
    png: str


class Example(BaseModel):
    """A simulated field, and what it truly shows."""

    id: str
    labels: list[str]
    files: list[ExampleFile]


def example_names() -> tuple[str, ...]:
    """Name the examples: each by the compartment it shows."""
    return SHOWN


def simulated_example(name: str) -> Example:
    """Draw the first planned field whose only compartment is ``name``, once."""
    with _ONE_DRAWS:
        return _drawn(name)


@cache
def _drawn(name: str) -> Example:
    vocabulary = load_vocabulary("kaggle2018")
    plans = plan_fields(LOOKED_THROUGH, side=SIDE, seed=SEED, balanced=True)
    wanted = [vocabulary.compartments[vocabulary.names.index(name)].id]
    plan = next(plan for plan in plans if list(plan.antibody.labels) == wanted)
    clean = render_clean(plan, seed=SEED).stains
    photographs = expose(clean, plan.camera, rng=np.random.default_rng([SEED, 2, plan.index]))
    field = f"simulated {name}".lower().replace(" ", "-")
    files = [
        ExampleFile(name=f"{field}_{stain}.png", png=png_of(picture))
        for stain, picture in zip(STAINS, photographs, strict=True)
    ]
    return Example(id=field, labels=[name], files=files)
