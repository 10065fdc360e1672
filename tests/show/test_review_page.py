"""The review of suspicious labels: right words beside the right fields."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.curate.label_noise import suspects
from protloc.show.review_page import (
    LEAST_SCORE,
    ReviewContent,
    estimate_in_words,
    found_in_words,
    odds_in_words,
    places_to_show,
    suspects_table,
    write_review_page,
)

NAMES = ("Nucleoplasm", "Cytosol", "Rods & rings")
ANTIBODIES = 30


@pytest.fixture
def content():
    """Return thirty antibodies of three fields; one field of the first, the second and the third has a mistake each."""
    vocabulary = Vocabulary("mine", tuple(Compartment(number, name) for number, name in enumerate(NAMES)))
    right = np.repeat(np.tile([[1, 0, 0], [1, 1, 0], [0, 0, 1]], (ANTIBODIES // 3, 1)), 3, axis=0).astype(np.uint8)
    given = right.copy()
    given[0] = [1, 1, 0]  # Cytosol is wrong
    given[3] = [1, 0, 0]  # Cytosol is missing
    given[6] = [1, 0, 0]  # Nucleoplasm stands for rods
    probabilities = 0.05 + 0.9 * right
    groups = tuple(f"antibody {number // 3:02d}" for number in range(len(right)))
    ids = tuple(f"field{number:02d}" for number in range(len(right)))
    found = suspects(given, probabilities, groups=groups)
    return ReviewContent(
        store="store", simulated=True, stains=HPA_STAINS, vocabulary=vocabulary, ids=ids, truth=given,
        probabilities=probabilities, groups=groups, found=found,
    )  # fmt: skip


def images(count):
    return np.random.default_rng(0).integers(0, 255, (count, 4, 16, 16), dtype=np.uint8)


def test_the_table_says_what_is_wrong_with_the_planted_fields(content):
    table = suspects_table(content)
    assert list(table["rank"]) == list(range(1, 91))
    first = table.head(3).set_index("id")
    assert set(first.index) == {"field00", "field03", "field06"}
    assert first.loc["field00", ["mistake", "suggested_missing", "suggested_wrong"]].to_list() == [
        "a class is wrong", "", "Cytosol",
    ]  # fmt: skip
    assert first.loc["field03", ["suggested_missing", "suggested_wrong"]].to_list() == ["Cytosol", ""]
    assert first.loc["field06", ["suggested_missing", "suggested_wrong"]].to_list() == ["Rods & rings", "Nucleoplasm"]
    assert first.loc["field06", "given"] == "Nucleoplasm"
    assert first.loc["field06", "mates"] == "2 × Rods & rings"
    assert first.loc["field03", "probability_missing"] == pytest.approx(0.95)
    assert table["score"].is_monotonic_decreasing


def test_the_page_shows_the_first_fields_with_suggestions(content, tmp_path, read_page):
    html = write_review_page(tmp_path / "review.html", content, images(3)).read_text()
    page = read_page(html)
    assert len(page.all("img")) == 3
    assert "Of 90 label sets, 3 are suspicious. Confident" in html
    assert "Rods &amp; rings instead of Nucleoplasm" in html
    assert "also Cytosol" in html
    assert "not Cytosol" in html
    assert "2 × Nucleoplasm; Cytosol" in html
    assert "These fields are simulated" in html
    assert "Mates" in html
    assert "Nucleoplasm 0.95; Cytosol 0.05; Rods &amp; rings 0.05" in html


def test_only_fields_that_look_wrong_are_shown(content, tmp_path, read_page):
    scores = content.found.scores.copy()
    for row, score in ((0, 0.3), (3, LEAST_SCORE), (6, 0.0499)):
        scores[row] = score
    scores[scores > 0.3] = 0.0
    found = dataclasses.replace(content.found, scores=scores, order=np.argsort(-scores, kind="stable"))
    assert places_to_show(found, most=120).tolist() == [0, 3]
    assert places_to_show(found, most=1).tolist() == [0]
    odd = dataclasses.replace(content, found=found)
    html = write_review_page(tmp_path / "review.html", odd, images(3)).read_text()
    assert len(read_page(html).all("img")) == 2
    assert "Of 90 label sets, 2 are suspicious; the 1 most suspicious" in found_in_words(odd, shown=1)


def test_where_no_label_looks_wrong_the_page_says_so(content, tmp_path, read_page):
    quiet = dataclasses.replace(content, found=dataclasses.replace(content.found, scores=np.zeros(90)))
    assert len(places_to_show(quiet.found, most=120)) == 0
    html = write_review_page(tmp_path / "review.html", quiet, images(0)).read_text()
    assert not read_page(html).all("img")
    assert "No label is likely wrong, as far as these networks can tell: none of 90 label sets is suspicious.<" in html
    assert "Fields to look at first" not in html


def test_a_card_begins_with_rank_and_id_and_has_odds(content, tmp_path):
    html = write_review_page(tmp_path / "review.html", content, images(3)).read_text()
    first = content.ids[content.found.order[0]]
    card = re.findall(r"<li><img.*?</li>", html, re.DOTALL)[0]
    assert re.findall(r"<p>(.*?)</p>", card)[0] == f"1. {first}"
    assert re.search(r"<b>odds</b> [\d,]+ to 1", card)
    assert "<b>score</b>" not in html


@pytest.mark.parametrize(
    ("score", "written"),
    [(0.05, "1 to 19"), (0.5, "1 to 1"), (0.6, "1.5 to 1"), (0.99999, "100,000 to 1"), (0.999991, "110,000 to 1")],
)
def test_odds_tell_scores_near_1_apart(score, written):
    assert odds_in_words(score) == written
    assert odds_in_words(1.0).endswith(" to 1")


def test_the_page_says_how_to_correct_labels_and_what_was_measured(content, tmp_path):
    html = write_review_page(tmp_path / "review.html", content, images(1)).read_text()
    assert "edit the label table that the fields were prepared from, then prepare and audit them anew" in html
    assert "a third of the top 5 % were truly flipped where the networks were asked alone" in html
    assert "Here no field has a group mate." not in html


def test_the_number_of_wrong_labels_is_told_where_the_network_is_sure(content):
    # planted: one extra, one missing, one exchanged, so four labels
    assert "about 4 labels" in estimate_in_words(content)
    assert "beside 120 that are given" in estimate_in_words(content)


def test_a_network_that_is_unsure_is_not_asked_for_a_number(content, tmp_path):
    blind = np.full(content.truth.shape, 0.5)
    unsure = dataclasses.replace(content, probabilities=blind, groups=None, found=suspects(content.truth, blind))
    html = write_review_page(tmp_path / "review.html", unsure, images(1)).read_text()
    assert "too unsure" in html
    assert "Mates" not in html
    assert "<b>mates</b>" not in html
    assert "Here no field has a group mate." in html
    assert set(suspects_table(unsure)["group"]) == {""}
    assert set(suspects_table(unsure)["mates"]) == {""}


def test_names_are_escaped(content, tmp_path, read_page):
    odd = dataclasses.replace(content, store="<b>", ids=tuple(f"<i>{field}" for field in content.ids))
    html = write_review_page(tmp_path / "review.html", odd, images(2)).read_text()
    read_page(html)
    assert "<i>" not in html


def test_many_label_sets_of_mates_are_cut_short(content):
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]], np.uint8)
    probabilities = np.full(truth.shape, 0.5)
    one_group = ("a",) * 5
    odd = dataclasses.replace(
        content, ids=tuple("abcde"), truth=truth, probabilities=probabilities, groups=one_group,
        found=suspects(truth, probabilities, groups=one_group),
    )  # fmt: skip
    mates = suspects_table(odd).set_index("id").loc["a", "mates"]
    assert mates == "1 × Cytosol | 1 × Rods & rings | 1 × Nucleoplasm; Cytosol | …"
