"""Recipes: everything a training run can be told, with the named ones."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from protloc.errors import SettingsError
from protloc.settings import Settings, read_toml

# what is trained and compared on one atlas
BASELINES = (
    "baseline-cnn",
    "baseline-resnet50",
    "baseline-resnet50-augmented",
    "baseline-resnet152-augmented",
    "standard",
)
RECIPES = (*BASELINES, "starter")

Share = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]
AtLeastOne = Annotated[float, Field(ge=1)]


class TrainSettings(Settings):
    """Everything a training run can be told."""

    recipe: str = "own"  # name it is reported under

    # network
    backbone: str = "tf_efficientnet_lite0"  # "baseline-cnn" or any name timm knows
    weights: str = "none"  # none, imagenet, efficientnet-lite0, starter, a .safetensors file or a bundle folder
    dropout: BelowOne = 0.2  # before the head; the baseline CNN has it after every block too

    # loss
    loss: Literal["bce", "weighted", "focal", "asymmetric"] = "bce"
    positive_weight_cap: AtLeastOne = 20.0  # weighted: a class with 1 % positives would weigh 99 and drown the others
    focal_gamma: NonNegativeFloat = 2.0  # Lin 2017, table 1b: best of 0..5
    focal_alpha: Share = 0.25  # Lin 2017: goes with gamma 2
    asymmetric_negative_gamma: NonNegativeFloat = 4.0  # Ridnik 2021, section 4: the setting for multi-label sets
    asymmetric_positive_gamma: NonNegativeFloat = 0.0  # Ridnik 2021: rare positives are never played down
    asymmetric_clip: BelowOne = 0.05  # Ridnik 2021: negatives under 5 % cost nothing

    # course
    epochs: PositiveInt = 30
    patience: PositiveInt = 8  # epochs without a better macro-F1 or samples-F1 before it stops
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 3e-4  # AdamW at batch 32, from pretrained weights
    weight_decay: NonNegativeFloat = 0.01  # AdamW's own default; norms and biases are spared
    schedule: Literal["cosine", "constant"] = "cosine"  # cosine needs no choice of when to step down
    warmup: BelowOne = 0.05  # share of all steps in which the learning rate rises from nothing
    gradient_clip: NonNegativeFloat = 1.0  # of the gradient's norm; 0 = off. A rare class with a high weight can jump
    averaging: BelowOne = 0.0  # decay of the weights' moving average, which is validated and kept; 0 = off

    # machine
    precision: Literal["auto", "float32", "bf16"] = "auto"  # auto: bf16 where the processor computes in it
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA where there is one
    seed: NonNegativeInt = 0

    # over-sampling, of the training part only
    oversampling_factor: AtLeastOne = 1.0  # draws of a minority field an epoch; 1 = off
    oversampling_cap: Share = 1.0  # lifts no class above this share of the fields
    minority_below: Share = 0.01  # a class in fewer fields is a minority; on Kaggle 2018 exactly the baseline's seven
    minority_classes: Names = ()  # class names; if any are given, these instead of the rare ones

    # augmentation, of the training part only
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0  # up to this far either way
    width_shift: BelowOne = 0.0  # up to this share of the width either way
    height_shift: BelowOne = 0.0  # up to this share of the height either way
    zoom: BelowOne = 0.0  # larger or smaller by a factor of up to 1 + this
    crop: NonNegativeInt = 0  # side in px of the random part of a field that is shown; 0 = the whole field
    flips: bool = False  # left-right by chance; with quarter turns all eight poses of a field
    quarter_turns: bool = False  # a field has no up: as many pictures as eight for the price of one
    intensity_jitter: BelowOne = 0.0  # each stain brighter or dimmer by up to this share
    stain_dropout: BelowOne = 0.0  # chance that a stain is black, each for itself; validation sees all stains
    protein_stain: str = "green"  # never dropped, where the store has it


def load_recipe(name_or_file: str | Path) -> TrainSettings:
    """Load a recipe by name, or settings from a TOML file such as a run's own ``settings.toml``.

    Raises:
        SettingsError: if there is no such recipe or file, or the file holds an unknown name or a wrong value.
    """
    if str(name_or_file) in RECIPES:
        with resources.as_file(resources.files("protloc.learn").joinpath("recipes", f"{name_or_file}.toml")) as file:
            return _from_file(file)
    file = Path(name_or_file)
    if file.suffix.lower() != ".toml" or not file.is_file():
        alike = difflib.get_close_matches(str(name_or_file), RECIPES, n=1, cutoff=0.4)
        meant = f" Did you mean {alike[0]}?" if alike else ""
        raise SettingsError(
            f"recipe {name_or_file}: there is none of this name.{meant} "
            f"Name one of {', '.join(RECIPES)}, or an existing .toml file."
        )
    return _from_file(file)


def _from_file(file: Path) -> TrainSettings:
    values = read_toml(file)
    values.pop("run", None)  # a run's own record of where and when
    return TrainSettings.from_mapping({"recipe": file.stem} | values, place=str(file))
