"""Known keys of fields: what is understood, what is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from protloc.atlas.keys import known_keys, read_keys
from protloc.errors import ProtlocError, SettingsError, TableError

HPA = ("ENSG00000000003_4109_24_H11_1", "ENSG00000000003_4109_24_H11_2", "ENSG00000000457_7_25_A1_1")


def written(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def test_the_words_of_the_ids_are_keys() -> None:
    assert read_keys("gene_antibody_plate_well_field", HPA) == {
        "antibody": ("4109", "4109", "7"),
        "gene": ("ENSG00000000003", "ENSG00000000003", "ENSG00000000457"),
        "plate": ("24", "24", "25"),
    }


def test_more_words_may_follow_a_star_and_an_empty_word_is_unknown() -> None:
    ids = ["G1_7_2_B2_13_cr58", "G2_8_3_B2_1", "G3__4"]
    assert read_keys("Gene_Antibody_well_*", ids) == {"antibody": ("7", "8", ""), "gene": ("G1", "G2", "G3")}


@pytest.mark.parametrize(
    ("pattern", "ids", "told"),
    [
        ("gene_antibody_well", HPA, "_4109_24_H11_1' has 5 words, expected 3. Say gene_antibody_well_*"),
        ("gene_antibody_a_b_c_d", HPA, "has 5 words, expected 6. Name every word of the ids, or give a table"),
        ("gene_antibody_*", ["a"], "--keys gene_antibody_*: id 'a' has 1 words, expected 2. Name every word"),
        ("gene", ["a", "b_c"], "id 'b_c' has 2 words, expected 1"),
    ],
)  # fmt: skip
def test_ids_of_other_words_are_refused(pattern: str, ids: Sequence[str], told: str) -> None:
    with pytest.raises(TableError, match=re.escape(told)):
        read_keys(pattern, ids)


@pytest.mark.parametrize("pattern", ["well_field", "", "gene_gene", "antibdy_plat", "keys.xlsx"])
def test_words_that_name_no_key_are_refused(pattern: str) -> None:
    told = f"--keys {pattern}: expected a .csv or .parquet file, or the names of the words"
    with pytest.raises(SettingsError, match=re.escape(told)):
        read_keys(pattern, HPA)


def test_the_columns_of_a_table_are_keys(tmp_path: Path) -> None:
    file = written(
        tmp_path / "fields.csv",
        "\ufeffid,Antibody, PLATE ,cell_line\nc,007,P1,U2OS\na,,P2,\nb, 7 ,P1,x\nc,007,P1,HeLa\n",
    )
    assert read_keys(file, ["a", "b", "c"]) == {"antibody": ("", "7", "007"), "plate": ("P2", "P1", "P1")}
    assert read_keys(str(file), ["c", "c"])["antibody"] == ("007", "007")


def test_a_parquet_table_with_numbers_and_gaps_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ID": ["a", "b"], "antibody": pd.array([4109, None], dtype="Int64"), "gene": ["G", None]})
    frame.to_parquet(tmp_path / "keys.parquet")
    assert read_keys(tmp_path / "keys.parquet", ["b", "a"]) == {"antibody": ("", "4109"), "gene": ("", "G")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "id,well\na,1\n",
            "k.csv: the columns are ['id', 'well'], expected id and any of parent, antibody",
        ),
        ("name,antibody\na,1\n", "the columns are ['name', 'antibody'], expected id"),
        ("id,antibody\na,1\n", "k.csv: no line for 1 of 2 fields, such as 'b'. Add them; leave cells empty"),
        ("id,antibody\na,1\na,2\nb,1\n", "k.csv: id 'a' has lines that differ in antibody. Keep the true one."),
        ("", "k.csv: cannot be read as a table"),
        ('id,antibody\na,"1\n', "k.csv: cannot be read as a table"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TableError, match=re.escape(told)):
        read_keys(written(tmp_path / "k.csv", text), ["a", "b"])


def test_other_kinds_of_tables_are_to_be_saved_as_csv(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for source in ("keys.xlsx", str(tmp_path)):
        with pytest.raises(SettingsError, match=r"If it is a table, save it as \.csv\.$"):
            read_keys(source, HPA)
    with pytest.raises(SettingsError, match=r"antibody_plate_well_field\.$"):
        read_keys("well_field", HPA)
    with pytest.raises(TableError, match=r"folder\.csv: a folder, expected a file; save the table as \.csv\."):
        read_keys(tmp_path / "folder.csv", HPA)


def test_column_names_are_told_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=re.escape("['Field ID', 'Antibody'], expected id and any of")):
        read_keys(written(tmp_path / "k.csv", "Field ID,Antibody\na,1\n"), ["a"])


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_are_told(tmp_path: Path, mark: str) -> None:
    with pytest.raises(TableError, match=r"expected id and any of .*\. Put commas between the cells\.$"):
        read_keys(written(tmp_path / "k.csv", f"id{mark}antibody\na{mark}1\n"), ["a"])
    with pytest.raises(TableError, match=r"Name the columns so\.$"):
        read_keys(written(tmp_path / "k.csv", f"id{mark}antibody,plate\na{mark}1,2\n"), ["a"])


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet"])
def test_a_missing_or_broken_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=rf"{name}: no such file\. Give CSV"):
        read_keys(tmp_path / name, ["a"])
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 no table")
    with pytest.raises(ProtlocError, match=name):
        read_keys(tmp_path / name, ["a"])


def test_the_parent_is_always_known(tmp_path: Path) -> None:
    assert known_keys(["f", "f", "g"], source=None) == {"parent": ("f", "f", "g")}
    file = written(tmp_path / "fields.csv", "id,antibody,parent\nf,1,slide\ng,2,\n")
    assert known_keys(["f", "f", "g"], source=file) == {"parent": ("slide", "slide", "g"), "antibody": ("1", "1", "2")}


def test_the_real_ids_are_read(real_data: Path) -> None:
    ids = pd.read_csv(real_data / "tables" / "hpa_v18.csv", dtype=str)["Id"].tolist()
    keys = read_keys("gene_antibody_plate_well_field_*", ids)
    assert {name: len(set(values)) for name, values in keys.items()}.items() >= {("antibody", 12_815)}
