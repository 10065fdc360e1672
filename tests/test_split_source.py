"""Splitting a store or a table on disk: by groups where there are some, by folds where wanted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable, read_labels
from protloc.curate.groups import GROUPS_FILE, Groups
from protloc.curate.split import Folds, Split
from protloc.errors import SettingsError, SplitError, StoreError, TableError
from protloc.options import parsed_keys
from protloc.verbs.split import grouped_table, parting_in_words, read_split, split_source


@pytest.fixture
def store(tiny_world, tmp_path: Path) -> Store:
    """Return a store of 84 fields that may be changed."""
    shutil.copytree(tiny_world.store.folder, tmp_path / "store", ignore=shutil.ignore_patterns("splits", GROUPS_FILE))
    return Store.open(tmp_path / "store", verify=False)


@pytest.fixture
def table(tiny_world) -> LabelTable:
    return read_labels(tiny_world.labels, tiny_world.vocabulary)


def audited(store: Store, *, a_group: int = 6) -> Groups:
    """Write groups of six fields into a store, the first two of each near-duplicates."""
    names = tuple(store.ids[row - row % a_group] for row in range(len(store)))
    twins = tuple(store.ids[row - 1] if row % a_group == 1 else store.ids[row] for row in range(len(store)))
    groups = Groups(store.ids, names, twins)
    groups.write(store.folder / GROUPS_FILE)
    return groups


def antibodies(folder: Path, ids: tuple[str, ...]) -> Path:
    frame = pd.DataFrame({"id": ids, "antibody": [f"A{row // 4}" for row in range(len(ids))], "plate": "P1"})
    frame.to_csv(folder / "keys.csv", index=False)
    return folder / "keys.csv"


def whole(parts: tuple[object, ...], groups: tuple[str, ...]) -> bool:
    return len(set(zip(groups, parts, strict=True))) == len(set(groups))


def test_an_unaudited_store_is_split_by_fields(store: Store) -> None:
    made = split_source(store)
    assert made.table.groups == store.ids
    assert grouped_table(store) is store.table
    assert "groups" not in made.summary
    assert made.summary.startswith(
        f"{store.folder}/splits/default.parquet: 59 train, 13 validation, 12 test fields. No"
    )


def test_an_audited_store_is_split_by_groups(store: Store) -> None:
    groups = audited(store)
    made = split_source(store)
    assert made.table.groups == grouped_table(store).groups == groups.groups
    assert whole(made.split.parts, groups.groups)
    assert " fields in 14 groups. No class is further than " in made.summary
    assert split_source(store, by="groups", name="again").split == made.split
    assert read_split(store, "default") == made.split


def test_an_audited_store_is_split_by_fields_if_asked(store: Store) -> None:
    groups = audited(store)
    made = split_source(store, by="fields")
    assert made.table.groups == store.ids
    assert not whole(made.split.parts, groups.groups)


def test_the_default_split_that_is_missing_is_made_by_groups(store: Store) -> None:
    groups = audited(store)
    made = read_split(store, "default")
    assert isinstance(made, Split)
    assert whole(made.parts, groups.groups)
    assert (store.folder / "splits" / "default.parquet").is_file()


def test_groups_of_other_fields_are_refused(store: Store) -> None:
    Groups(("a",), ("a",), ("a",)).write(store.folder / GROUPS_FILE)
    told = rf"groups\.parquet: groups of 1 field that are not the 84 of this store\. .*audit {store.folder}"
    for call in (split_source, grouped_table):
        with pytest.raises(StoreError, match=told):
            call(store)
    assert split_source(store, by="fields").table.groups == store.ids


def test_groups_that_nobody_knows_are_refused(store: Store, table: LabelTable, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"--by groups: no groups are known\. .*protloc audit STORE.*--keys"):
        split_source(store, by="groups")
    with pytest.raises(SplitError, match="--by groups: no groups are known"):
        split_source(table, by="groups", out=tmp_path / "split.parquet")
    assert not (store.folder / "splits").exists()


def test_a_table_is_split_by_its_keys(table: LabelTable, tmp_path: Path) -> None:
    made = split_source(table, out=tmp_path / "split.parquet", keys=antibodies(tmp_path, table.ids))
    assert whole(made.split.parts, tuple(f"A{row // 4}" for row in range(84)))
    assert made.summary.count("21 groups") == made.summary.count(" groups") == 1
    assert "joined by antibody. The plate is left out: it would put up to 100 % of the fields" in made.summary
    assert made.summary.endswith("To join by it all the same: --join antibody,plate.")
    assert Split.read(tmp_path / "split.parquet") == made.split


def test_the_caller_names_the_keys_to_join_by(table: LabelTable, tmp_path: Path) -> None:
    keys, out = antibodies(tmp_path, table.ids), tmp_path / "split.parquet"
    made = split_source(table, out=out, keys=keys, join=["Antibody"])
    assert len(set(made.table.groups)) == 21
    with pytest.raises(SettingsError, match="--join: 'gene', expected any of the known keys: antibody, plate"):
        split_source(table, out=out, keys=keys, join=["gene"])


def test_a_part_that_would_be_empty_is_refused(table: LabelTable, store: Store, tmp_path: Path) -> None:
    keys, out = antibodies(tmp_path, table.ids), tmp_path / "split.parquet"
    with pytest.raises(SplitError, match=r"split\.parquet: \w+ would be empty, as 84 fields in 1 group cannot fill"):
        split_source(table, out=out, keys=keys, join=["plate"])
    assert not out.exists()
    audited(store, a_group=42)
    with pytest.raises(SplitError, match=r"default\.parquet: \w+ would be empty, as 84 fields in 2 groups cannot"):
        read_split(store, "default")
    assert not (store.folder / "splits").exists()


def test_parts_far_from_the_share_asked_for_are_told(store: Store) -> None:
    names = tuple(store.ids[0] if row < 39 else store.ids[row] for row in range(84))
    Groups(store.ids, names, store.ids).write(store.folder / GROUPS_FILE)
    made = split_source(store, fractions=(0.3, 0.3, 0.4), name="giant")
    sizes = [len(made.split.rows(part)) for part in ("train", "validation", "test")]
    told = "/".join(f"{100 * size / 84:.0f}" for size in sizes)
    assert max(sizes) == 39
    assert (
        f"The parts are {told} %, asked for were 30/30/40: the largest group holds 46 % of the fields." in made.summary
    )
    folds = split_source(store, folds=3, name="folds")
    assert re.search(r"The parts are \d+/\d+/\d+ %, asked for were 33/33/33: the largest group", folds.summary)
    assert "The parts are 5 to 46 %, asked for were 8: the" in split_source(store, folds=12, name="many").summary
    assert "The parts are" not in split_source(store, by="fields", name="even").summary


def test_many_folds_are_told_by_their_sizes(store: Store) -> None:
    assert "many.parquet: 12 folds of 7 fields. No class" in split_source(store, folds=12, name="many").summary
    assert "odd.parquet: 11 folds of 7 to 8 fields. No class" in split_source(store, folds=11, name="odd").summary
    assert re.search(r": \d fold 0, .*, \d fold 9 fields\.", split_source(store, folds=10, name="ten").summary)


def test_keys_and_the_near_duplicates_of_an_audit_are_joined(store: Store, tmp_path: Path) -> None:
    groups = audited(store)
    made = split_source(store, keys=antibodies(tmp_path, store.ids))
    assert whole(made.split.parts, groups.twins)
    assert whole(made.split.parts, tuple(f"A{row // 4}" for row in range(84)))
    assert made.joined is not None
    assert made.joined.joined == ("near-duplicates", "antibody")
    assert made.joined.groups.twins == groups.twins


def test_repeated_lines_are_told(tiny_world, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(tiny_world.labels.read_text("utf-8") + "f000,\nf001,0\n", "utf-8")
    made = split_source(read_labels(file, tiny_world.vocabulary), out=tmp_path / "split.parquet")
    assert made.summary.endswith("2 lines of the label table repeat another and were read once.")


def test_folds_are_written_and_addressed_one_by_one(store: Store) -> None:
    made = split_source(store, folds=4, name="cv")
    assert made.summary.startswith(
        f"{store.folder}/splits/cv.parquet: 21 fold 0, 21 fold 1, 21 fold 2, 21 fold 3 fields."
    )
    whole_read = read_split(store, "cv")
    assert isinstance(whole_read, Folds)
    assert whole_read == made.split
    assert read_split(store, "cv:3") == whole_read.split(3)
    tested = np.concatenate([read_split(store, f"cv:{number}").rows("test") for number in range(4)])
    assert sorted(tested.tolist()) == list(range(84))


def test_folds_keep_groups_whole(store: Store) -> None:
    groups = audited(store)
    made = split_source(store, folds=5, name="cv")
    assert whole(made.split.folds, groups.groups)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cv:4", "--split cv:4: there are 4 folds, 0 to 3. Say one of them, as in cv:0."),
        ("cv:", "--split cv: with nothing after the colon: there are 4 folds, 0 to 3"),
        ("cv:-1", "--split cv:-1: there are 4 folds, 0 to 3"),
        ("cv:²", "--split cv:²: there are 4 folds, 0 to 3"),
        ("default:0", "--split default:0: default is a split without folds. Say --split default"),
        ("default:", "--split default: with nothing after the colon: default is a split without folds"),
        ("other:0", "other.parquet: no such split (there is cv). Make it: protloc split STORE --name other"),
    ],
)
def test_an_unknown_fold_is_refused(store: Store, name: str, told: str) -> None:
    split_source(store, folds=4, name="cv")
    with pytest.raises(SplitError, match=re.escape(told.replace("STORE", str(store.folder)))):
        read_split(store, name)


def test_another_split_of_the_name_stays(store: Store) -> None:
    split_source(store)
    assert split_source(store).file.is_file()
    for other in ({"folds": 3}, {"seed": 1}):
        with pytest.raises(SplitError, match=r"default\.parquet: there is another split of this name"):
            split_source(store, **other)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"by": "plates"}, "--by plates: expected groups or fields"),
        ({"folds": 5, "fractions": (0.8, 0.1, 0.1)}, "--folds 5 with --fractions: folds are of equal size"),
        ({"by": "fields", "keys": "k.csv"}, "--keys k.csv with --by fields: keys tell groups"),
        ({"join": ["gene"]}, "--join gene: no keys to join by. Say where they are with --keys"),
        ({"out": "split.csv"}, "--out: split.csv, expected the .parquet file"),
    ],
)
def test_settings_that_contradict_are_refused(store: Store, settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        split_source(store, **settings)


def test_a_table_needs_a_file_to_write_to(table: LabelTable) -> None:
    with pytest.raises(SettingsError, match=r"--out: not given, expected the \.parquet file"):
        split_source(table)


def test_keys_that_cannot_be_read_write_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone\.csv: no such file"):
        split_source(store, keys=tmp_path / "gone.csv")
    assert not (store.folder / "splits").exists()


def test_a_split_that_parts_groups_is_told(store: Store) -> None:
    assert parting_in_words(store, "default", read_split(store, "default")) == ""
    audited(store)
    told = parting_in_words(store, "default", read_split(store, "default"))
    assert re.fullmatch(
        r"The split default parts \d+ groups of fields that are alike, so scores on it will flatter.", told
    )
    split_source(store, name="clean")
    assert parting_in_words(store, "clean", read_split(store, "clean")) == ""


def test_a_single_parted_group_is_told_as_one(store: Store) -> None:
    names = tuple(store.ids[0] if row < 40 else store.ids[row] for row in range(84))
    split_source(store)
    Groups(store.ids, names, store.ids).write(store.folder / GROUPS_FILE)
    assert "parts 1 group of fields" in parting_in_words(store, "default", read_split(store, "default"))


def test_the_keys_to_join_by_are_read() -> None:
    assert parsed_keys(None) is None
    assert parsed_keys(" antibody,, gene ,") == ["antibody", "gene"]


@pytest.mark.parametrize("words", ["", ",", " , "])
def test_no_key_to_join_by_is_refused(words: str) -> None:
    with pytest.raises(SettingsError, match=r"--join: no key named, expected any of parent, antibody, gene, plate"):
        parsed_keys(words)
