"""Groups: what is joined, what is left out, what leaks."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.atlas.files import write_parquet
from protloc.atlas.table import LabelTable
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.groups import LARGEST_SHARE, Groups, Leaks, join_groups, label_conflicts, leaks, naive_leaks
from protloc.errors import SettingsError, StoreError


def pairs_of(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([first for first, _ in pairs], np.intp), np.array([second for _, second in pairs], np.intp)


def many(number: int) -> list[str]:
    return [f"f{row:03d}" for row in range(number)]


def test_a_hand_worked_world_is_joined() -> None:
    # b and d share an antibody, d and e are near-duplicates, a and c are tiles of one field
    joined = join_groups(
        ["e", "d", "c", "b", "a", "z"],
        keys={"antibody": ["", "1", "", "1", "2", "3"], "parent": ["E", "D", "C", "B", "C", "Z"]},
        pairs=pairs_of((0, 1)),
        join=["antibody"],
    )
    assert joined.groups.groups == ("b", "b", "a", "b", "a", "z")
    assert joined.groups.twins == ("d", "d", "c", "b", "a", "z")
    assert joined.joined == ("near-duplicates", "parent", "antibody")
    assert joined.summary == "3 groups, the largest of 3 fields, joined by near-duplicates, parent, antibody."


def test_without_keys_every_field_is_a_group() -> None:
    joined = join_groups(["b", "a"], keys={"parent": ["b", "a"], "gene": ["", ""]})
    assert joined.groups == Groups(("b", "a"), ("b", "a"), ("b", "a"))
    assert (joined.joined, joined.left_out) == ((), {})


def chained() -> dict[str, list[str]]:
    """Return 100 fields of 20 antibodies; plates overlap, so that each links the fields of the last to the next."""
    return {
        "plate": [f"P{(row + 3) // 10}" for row in range(100)],
        "antibody": [f"A{row // 5}" for row in range(100)],
    }


def test_a_key_that_chains_the_fields_together_is_left_out_and_told() -> None:
    joined = join_groups(many(100), keys=chained())
    assert joined.joined == ("antibody",)
    assert joined.left_out == {"plate": 1.0}
    assert len(set(joined.groups.groups)) == 20
    assert joined.summary == (
        "20 groups, the largest of 5 fields, joined by antibody. The plate is left out: it would put up to 100 % of "
        "the fields into one group. To join by it all the same: --join antibody,plate."
    )


def test_what_always_joins_needs_no_insisting() -> None:
    keys = {"parent": ["one"] * 2 + many(98), "gene": ["G"] * 46 + [""] * 54}
    joined = join_groups(many(100), keys=keys, pairs=pairs_of((0, 1)))
    assert joined.joined == ("near-duplicates", "parent")
    assert joined.summary.endswith("up to 46 % of the fields into one group. To join by it all the same: --join gene.")


def test_one_is_told_as_one() -> None:
    assert join_groups(["a"], keys={}).summary == "1 group, the largest of 1 field, joined by nothing."


def test_a_plate_joins_only_where_no_protein_is_known() -> None:
    plates = [f"P{row // 10}" for row in range(100)]
    with_antibody = join_groups(many(100), keys={"antibody": [f"A{row // 5}" for row in range(100)], "plate": plates})
    assert (with_antibody.joined, with_antibody.left_out) == (("antibody",), {"plate": 0.1})
    assert join_groups(many(100), keys={"plate": plates}).joined == ("plate",)


def test_the_caller_may_insist() -> None:
    joined = join_groups(many(100), keys=chained(), join=["plate", "antibody"])
    assert set(joined.groups.groups) == {"f000"}
    assert joined.left_out == {}
    alone = join_groups(many(100), keys=chained(), join=["plate"])
    assert len(set(alone.groups.groups)) == 11
    assert alone.joined == ("plate",)


@pytest.mark.parametrize(("size", "joins"), [(10, True), (11, False)])
def test_a_tenth_of_the_fields_is_the_largest_group_a_key_makes(size: int, *, joins: bool) -> None:
    assert LARGEST_SHARE == 0.10
    genes = ["G" if row < size else "" for row in range(100)]
    joined = join_groups(many(100), keys={"gene": genes})
    assert joined.joined == (("gene",) if joins else ())
    assert joined.left_out == ({} if joins else {"gene": 0.11})


def test_a_key_is_not_blamed_for_a_group_that_was_large_before() -> None:
    tiles, antibodies = ["one"] * 60 + many(40), [f"A{row // 4}" for row in range(100)]
    joined = join_groups(many(100), keys={"parent": tiles, "antibody": antibodies})
    assert (joined.joined, joined.left_out) == (("parent", "antibody"), {})


def test_tiles_are_joined_however_many() -> None:
    assert join_groups(many(9), keys={"parent": ["one"] * 9}, join=[]).groups.groups == ("f000",) * 9


def test_an_unknown_key_to_join_by_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^--join: 'genes', expected any of the known keys: gene, plate\.$"):
        join_groups(["a"], keys={"parent": ["a"], "gene": ["G"], "plate": ["P"]}, join=["genes"])
    with pytest.raises(SettingsError, match=r"^--join: 'gene', no key is known\. Tell them with --keys\.$"):
        join_groups(["a"], keys={"parent": ["a"]}, join=["gene"])


def test_keys_to_join_by_are_known_in_any_case() -> None:
    assert join_groups(["a", "b"], keys={"gene": ["G", "G"]}, join=["Gene"]).joined == ("gene",)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_groups_are_the_components_that_networkx_finds(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 25))
    values = st.lists(st.sampled_from(["", "p", "q", "r", "s", "t", "u", "v"]), min_size=number, max_size=number)
    keys = {"antibody": data.draw(values), "plate": data.draw(values)}
    pairs = data.draw(st.lists(st.tuples(st.integers(0, number - 1), st.integers(0, number - 1)), max_size=8))
    ids = data.draw(st.permutations(many(number)))
    graph = nx.Graph(pairs)
    graph.add_nodes_from(range(number))
    twins = {row: min(ids[mate] for mate in mates) for mates in nx.connected_components(graph) for row in mates}
    for values_of in keys.values():
        graph.add_edges_from(
            (first, second)
            for first, second in combinations(range(number), 2)
            if values_of[first] and values_of[first] == values_of[second]
        )
    groups = {row: min(ids[mate] for mate in mates) for mates in nx.connected_components(graph) for row in mates}
    joined = join_groups(ids, keys=keys, pairs=pairs_of(*pairs), join=["antibody", "plate"]).groups
    assert joined.groups == tuple(groups[row] for row in range(number))
    assert joined.twins == tuple(twins[row] for row in range(number))


def test_groups_are_written_and_read(tmp_path: Path) -> None:
    groups = Groups(("b", "a", "c"), ("a", "a", "c"), ("b", "a", "c"))
    groups.write(tmp_path / "groups.parquet")
    assert Groups.read(tmp_path / "groups.parquet") == groups
    assert pd.read_parquet(tmp_path / "groups.parquet").columns.tolist() == ["id", "group", "twin"]


def test_what_is_no_groups_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "groups.parquet"
    told = rf"groups\.parquet: no groups with the columns .* \(no such file\)\. .*protloc audit {tmp_path}$"
    with pytest.raises(StoreError, match=told):
        Groups.read(file)
    write_parquet(file, pd.DataFrame({"id": ["a"], "group": ["a"]}))
    with pytest.raises(StoreError, match=r"groups\.parquet: no groups with the columns"):
        Groups.read(file)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"id": ["a", "a"], "group": ["a", "a"], "twin": ["a", "a"]}, "id: one comes twice"),
        ({"id": ["a", "b"], "group": ["a", None], "twin": ["a", "b"]}, "group: not all are texts"),
        ({"id": ["a", "b"], "group": ["a", "b"], "twin": [1, 2]}, "twin: not all are texts"),
    ],
)
def test_a_damaged_groups_file_is_refused(tmp_path: Path, columns: dict[str, list[object]], told: str) -> None:
    pd.DataFrame(columns).to_parquet(tmp_path / "groups.parquet")
    with pytest.raises(StoreError, match=rf"\({told}\)\. Make them with: protloc audit {tmp_path}$"):
        Groups.read(tmp_path / "groups.parquet")


def test_near_duplicates_can_be_joined_again() -> None:
    groups = join_groups(many(6), keys={}, pairs=pairs_of((0, 4), (4, 2), (1, 5))).groups
    assert join_groups(many(6), keys={}, pairs=groups.twin_pairs).groups == groups


def test_leaks_of_a_hand_worked_split() -> None:
    # a and b are near-duplicates, c is of their antibody, d and e of another, f is alone
    groups = Groups(tuple("abcdef"), ("a", "a", "a", "d", "d", "f"), ("a", "a", "c", "d", "e", "f"))
    assert leaks(groups, learnt=np.array([0, 3]), judged=np.array([1, 2, 5])) == Leaks(3, 2, 1)
    assert leaks(groups, learnt=np.array([0, 1, 2]), judged=np.array([3, 4, 5])) == Leaks(3, 0, 0)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from("abcde"), min_size=7, max_size=7))
def test_naive_leaks_are_the_mean_over_all_splits(names: list[str]) -> None:
    groups = Groups(tuple(many(7)), tuple(names), tuple(many(7)))
    rows = set(range(7))  # 5 train, 1 is tested
    counted = [
        leaks(groups, learnt=np.array(train), judged=np.array([test])).with_group
        for train in combinations(range(7), 5)
        for test in rows - set(train)
    ]
    expected = naive_leaks(groups)
    assert expected.judged == 1
    assert expected.with_group == pytest.approx(np.mean(counted))
    assert expected.with_twin == 0


def test_naive_leaks_are_what_drawn_splits_show() -> None:
    generator = np.random.default_rng(0)
    names = tuple(str(name) for name in generator.integers(0, 60, 200))
    groups = Groups(tuple(many(200)), names, names)
    drawn = []
    for _ in range(400):
        order = generator.permutation(200)
        drawn.append(leaks(groups, learnt=order[:140], judged=order[170:]).with_twin)
    assert naive_leaks(groups).with_twin == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_handful_of_fields_has_no_test_part_to_leak_into(number: int) -> None:
    assert naive_leaks(Groups(tuple(many(number)), ("a",) * number, ("a",) * number)) == Leaks(0, 0, 0)


def test_clusters_that_are_not_labelled_alike_are_found() -> None:
    labels = ((1,), (2,), (1,), (3,), (3,), (), (0,), (4,))
    table = LabelTable(tuple(many(8)), labels, load_vocabulary("kaggle2018"), tuple(many(8)))
    found = label_conflicts(table, ["b", "a", "b", "c", "c", "a", "", ""])
    assert {name: rows.tolist() for name, rows in found.items()} == {"a": [1, 5]}
    found = label_conflicts(table, ["b", "a", "a", "b", "c", "c", "d", "e"])
    assert {name: rows.tolist() for name, rows in found.items()} == {"a": [1, 2], "b": [0, 3], "c": [4, 5]}
    assert label_conflicts(table, table.ids) == {}
