"""The page of an audit: which pairs, in which order, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.curate.groups import Groups, Joined, Leaks
from protloc.show.audit_page import (
    AuditContent,
    ShownPair,
    audit_page,
    joins_in_words,
    key_table,
    naive_in_words,
    pairs_in_words,
    pairs_to_show,
    torn_in_words,
    torn_table,
    write_audit_page,
)

Reader = Callable[[str], Any]
VOCABULARY = Vocabulary("shapes", (Compartment(0, "Disc"), Compartment(4, "<i>Bars</i>")))
GROUPS = Groups(("a", "b", "c", "<d>"), ("a", "a", "a", "<d>"), ("a", "a", "c", "<d>"))
JOINED = Joined(GROUPS, ("near-duplicates", "antibody"), {"plate": 0.625})


def pair(first: tuple[int, ...], second: tuple[int, ...]) -> ShownPair:
    """Return a pair of random fields with these labels."""
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 16, 16), dtype=np.uint8)
    return ShownPair(("a", "<d>"), 0.98765, (first, second), images)


@pytest.fixture
def content() -> AuditContent:
    """Return what an audit of four fields found: two pairs, one of them in conflict."""
    return AuditContent(
        store="demo & store",
        simulated=False,
        stains=HPA_STAINS,
        vocabulary=VOCABULARY,
        fields=4,
        pairs=2,
        conflicts=1,
        shown=(pair((0,), (0, 4)), pair((0,), (0,))),
        joined=JOINED,
        naive=Leaks(4661, with_group=2950.2, with_twin=143.4),
        remedy="protloc split demo --by groups",
    )


def test_conflicts_come_first_then_the_most_similar() -> None:
    similarity = np.array([0.9, 0.99, 0.8, 0.95])
    conflicts = np.array([True, False, True, False])
    assert pairs_to_show(similarity, conflicts).tolist() == [0, 2, 1, 3]
    assert pairs_to_show(similarity, conflicts, most=3).tolist() == [0, 2, 1]
    assert pairs_to_show(np.empty(0), np.empty(0, bool)).tolist() == []


def test_the_page_is_one_file_that_shows_each_pair_with_its_labels(
    content: AuditContent, tmp_path: Path, read_page: Reader
) -> None:
    html = write_audit_page(tmp_path / "audit.html", content).read_text("utf-8")
    page = read_page(html)
    assert len(page.all("img")) == 1 + 2 * 2
    assert html.count('class="conflict"') == html.count("labelled differently</strong>") == 1
    assert "<b>similarity</b> 0.988" in html
    assert "<b>labelled</b> Disc; &lt;i&gt;Bars&lt;/i&gt;" in html
    assert "demo &amp; store" in html
    assert "Field &lt;d&gt;, like a" in html
    assert "protloc split demo --by groups" in html


def test_the_naive_split_is_told_in_a_sentence() -> None:
    told = naive_in_words(Leaks(4661, with_group=2950.2, with_twin=143.4), JOINED)
    assert told.startswith(
        "Of 4,661 test fields of a naive 70/15/15 split, 143 would have a near-duplicate in training and 2,950 "
        "a field of the same group (joined by near-duplicates, antibody) there"
    )


def test_a_naive_split_without_leaks_is_allowed() -> None:
    assert "none would have" in naive_in_words(Leaks(100, 0.0, 0.0), JOINED)
    assert "single fields may be split" in naive_in_words(Leaks(100, 0.0, 0.0), JOINED)
    assert "less than one would have a near-duplicate" in naive_in_words(Leaks(100, 0.4, 0.2), JOINED)


def test_pairs_are_counted_with_those_not_shown(content: AuditContent) -> None:
    assert "2 pairs of near-duplicates were found; 1 of them is labelled differently" in pairs_in_words(content)
    assert "not shown" not in pairs_in_words(content)
    assert "The other 998 are not shown here." in pairs_in_words(replace(content, pairs=1000))
    alike = pairs_in_words(replace(content, conflicts=0))
    assert "all are labelled alike" in alike
    assert "conflict" not in alike


def test_keys_that_joined_and_those_left_out_are_told_with_the_reason() -> None:
    table = key_table(JOINED)
    assert [row[:2] for row in table.rows] == [
        ("near-duplicates", "joined"),
        ("antibody", "joined"),
        ("plate", "left out"),
    ]
    assert "62 % of all fields, more than 10 %" in table.rows[2][2]


def test_a_store_without_labels_or_pairs_has_a_page(content: AuditContent, read_page: Reader) -> None:
    bare = replace(pair((), ()), labels=None)
    assert not bare.in_conflict
    html = audit_page(replace(content, vocabulary=None, shown=(bare,), pairs=1, conflicts=0))
    read_page(html)
    assert "<b>labelled</b>" not in html
    assert "labelled differently" not in html
    empty = audit_page(replace(content, shown=(), pairs=0, conflicts=0))
    read_page(empty)
    assert "No two fields were found to be near-duplicates." in empty


def test_what_joins_is_told_and_both_counts_of_differing_labels(content: AuditContent) -> None:
    html = audit_page(replace(content, torn={"a": [(0,), (4,)], "b": [(0,), (4,)]}))
    assert "Here fields were joined by near-duplicates, antibody." in html
    assert "well" not in joins_in_words(JOINED)
    assert "<dt>pair labelled differently</dt><dd>1</dd>" in html
    assert "<dt>groups labelled differently</dt><dd>2</dd>" in html
    assert "groups labelled differently" not in audit_page(content)
    assert joins_in_words(replace(JOINED, joined=())) == "Here nothing joined any fields."


def test_simulated_fields_are_told(content: AuditContent) -> None:
    said = "near-duplicates may have been planted"
    assert said not in audit_page(content)
    assert said in audit_page(replace(content, simulated=True))


def test_groups_in_which_labels_differ_are_set_out_largest_first(content: AuditContent, read_page: Reader) -> None:
    torn = {"a": [(0,), (0, 4), (0,)], "<z>": [(), (4,)]}
    html = audit_page(replace(content, torn=torn))
    read_page(html)
    table = torn_table(replace(content, torn=torn))
    assert table.rows == (("a", "3", "2 × Disc · 1 × Disc; <i>Bars</i>"), ("<z>", "2", "1 × – · 1 × <i>Bars</i>"))
    assert "<z>" not in html
    many = {f"g{number:03d}": [(0,), (4,)] for number in range(25)}
    assert "The other 5 are not shown." in torn_table(replace(content, torn=many)).caption


def test_groups_labelled_alike_are_told_so(content: AuditContent) -> None:
    assert torn_in_words(content) == ""
    none = torn_in_words(replace(content, torn={}))
    assert none == "Of 1 group of several fields, none holds fields that are labelled differently."
    assert torn_in_words(replace(content, torn={"a": [(0,), (4,)]})).startswith(
        "Of 1 group of several fields, 1 holds fields that are labelled differently."
    )
