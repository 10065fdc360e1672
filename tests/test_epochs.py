"""The course of a run: which epoch is best, when to stop, the log on disk."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protloc.errors import RunError
from protloc.learn.epochs import Epoch, best_epoch, has_stalled, mean_history, read_history, write_history


def row(epoch: int, macro_f1: float, samples_f1: float = 0.5, mean_average_precision: float = 0.5) -> Epoch:
    return Epoch(
        epoch=epoch,
        seconds=1.5,
        train_loss=0.1 + 0.2,
        validation_loss=1 / 3,
        macro_f1=macro_f1,
        samples_f1=samples_f1,
        micro_f1=0.4,
        mean_average_precision=mean_average_precision,
        learning_rate=3e-4,
        images_per_second=81.25,
    )


def course(macro: list[float], samples: list[float] | None = None) -> list[Epoch]:
    return [
        row(place + 1, *figures) for place, figures in enumerate(zip(macro, samples or [0.5] * len(macro), strict=True))
    ]


@pytest.mark.parametrize(
    ("macro", "samples", "stalled"),
    [
        ([0.1, 0.2], [0.1, 0.2], False),  # too short to tell
        ([0.3, 0.2, 0.2], [0.3, 0.2, 0.2], True),
        ([0.3, 0.2, 0.4], [0.3, 0.2, 0.2], False),  # macro-F1 rose
        ([0.3, 0.2, 0.2], [0.3, 0.2, 0.4], False),  # samples-F1 rose
        ([0.3, 0.3, 0.3], [0.3, 0.3, 0.3], True),  # as good is not better
        ([0.3, 0.4, 0.2, 0.2], [0.3, 0.2, 0.2, 0.2], True),
        ([math.nan] * 3, [0.3, 0.2, 0.2], True),
        ([math.nan, math.nan, 0.0], [0.3, 0.2, 0.2], False),
    ],
)
def test_it_stalls_when_neither_figure_rises_for_two_epochs(
    macro: list[float], samples: list[float], *, stalled: bool
) -> None:
    assert has_stalled(course(macro, samples), patience=2) is stalled


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 10))
def test_a_rising_course_never_stalls_and_a_flat_one_always_does(figures: list[float], patience: int) -> None:
    rising = sorted(set(figures))
    assert not has_stalled(course(rising), patience=patience) or len(rising) == 1
    flat = course([0.5] * (patience + 1))
    assert has_stalled(flat, patience=patience)
    assert not has_stalled(flat[:-1], patience=patience)


def test_the_best_epoch_has_the_highest_macro_f1() -> None:
    assert best_epoch(course([0.1, 0.6, 0.3], [0.1, 0.2, 0.9])).epoch == 2
    assert best_epoch(course([math.nan, 0.0])).epoch == 2
    assert best_epoch(course([math.nan, math.nan])).epoch == 1


def test_of_equal_epochs_the_other_figures_decide_then_the_first() -> None:
    assert best_epoch([row(1, 0.5, 0.5), row(2, 0.5, 0.6)]).epoch == 2
    assert best_epoch([row(1, 0.5, 0.5, 0.1), row(2, 0.5, 0.5, 0.2)]).epoch == 2
    assert best_epoch([row(1, 0.5), row(2, 0.5)]).epoch == 1


def test_the_log_is_read_back_to_the_bit(tmp_path: Path) -> None:
    history = (row(1, 0.1), row(2, 1 / 7, 2 / 3), row(3, math.nan))
    write_history(tmp_path / "log.csv", history)
    read = read_history(tmp_path / "log.csv")
    assert read[:2] == history[:2]
    assert math.isnan(read[2].macro_f1)
    assert list(pd.read_csv(tmp_path / "log.csv").columns) == list(asdict(history[0]))


def test_no_log_is_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "log.csv") == ()


@pytest.mark.parametrize("text", ["epoch,seconds\n1,2\n", "epoch\nx\n", "a,b\n1,2\n"])
def test_a_damaged_log_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(RunError, match=r"log.csv: not the log of a run"):
        read_history(tmp_path / "log.csv")


def test_a_line_says_the_epoch_in_columns() -> None:
    assert row(7, 0.25).line(30).startswith("epoch  7/30  train loss 0.3000  validation loss 0.3333  macro-F1 0.2500")


def test_courses_are_averaged_over_those_that_came_so_far() -> None:
    averaged = mean_history([course([0.2, 0.4, 0.9]), course([0.4, 0.8]), course([0.6])])
    assert [one.epoch for one in averaged] == [1, 2, 3]
    assert [one.macro_f1 for one in averaged] == pytest.approx([0.4, 0.6, 0.9])
    assert [one.seconds for one in averaged] == [4.5, 3.0, 1.5]  # of all together
    assert averaged[0].train_loss == pytest.approx(0.3)
    assert mean_history([]) == mean_history([(), ()]) == ()


def test_a_figure_that_a_part_does_not_have_is_averaged_over_the_others() -> None:
    averaged = mean_history([course([math.nan, math.nan]), course([0.5, math.nan])])
    assert averaged[0].macro_f1 == 0.5
    assert math.isnan(averaged[1].macro_f1)
