"""Recipes: the named ones load, a wrong name is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from protloc.errors import SettingsError
from protloc.learn.backbones import BASELINE_CNN
from protloc.learn.recipes import BASELINES, RECIPES, TrainSettings, load_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_loads_under_its_name(name: str) -> None:
    assert load_recipe(name).recipe == name


def test_the_baselines_are_those_of_the_baseline_recipe() -> None:
    baselines = {name: load_recipe(name) for name in BASELINES if name.startswith("baseline")}
    assert {recipe.loss for recipe in baselines.values()} == {"bce"}
    assert [recipe.backbone for recipe in baselines.values()] == [BASELINE_CNN, "resnet50", "resnet50", "resnet152"]
    assert [recipe.weights for recipe in baselines.values()] == ["none", "imagenet", "imagenet", "imagenet"]
    for name, recipe in baselines.items():
        augmented = name.endswith("augmented")
        assert (recipe.oversampling_factor > 1) == augmented
        assert (min(recipe.rotation_degrees, recipe.width_shift, recipe.height_shift) > 0) == augmented
        assert not recipe.flips
        assert recipe.minority_below == 0.01


def test_standard_needs_no_network() -> None:
    assert load_recipe("standard").weights == "efficientnet-lite0"


def test_the_starter_is_no_baseline_and_trains_a_whole_course_at_any_set_of_stains() -> None:
    starter = load_recipe("starter")
    assert set(RECIPES) - set(BASELINES) == {"starter"}
    assert starter.patience >= starter.epochs
    assert starter.weights == "efficientnet-lite0"  # needs no network
    assert starter.stain_dropout == 0.5  # every set of stains alike
    assert (starter.protein_stain, starter.crop, starter.averaging) == ("green", 192, 0.999)


def test_a_users_own_file_and_a_runs_settings_are_recipes(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('epochs = 3\n\n[run]\nstore = "somewhere"\n')
    assert load_recipe(file) == TrainSettings(recipe="mine", epochs=3)
    TrainSettings(recipe="hers").to_toml(file)
    assert load_recipe(str(file)).recipe == "hers"


@pytest.mark.parametrize(
    ("name", "meant"), [("baseline-resnet5", "Did you mean baseline-resnet50?"), ("nothing.toml", "")]
)
def test_an_unknown_recipe_is_told_with_the_known_ones(name: str, meant: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_recipe(name)
    assert name in str(raised.value)
    assert meant in str(raised.value)
    assert ", ".join(RECIPES) in str(raised.value)


def test_a_recipe_with_a_wrong_value_names_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("learning_rate = -1")
    with pytest.raises(SettingsError, match=r"mine.toml: learning_rate is -1: Input should be greater than 0"):
        load_recipe(file)
