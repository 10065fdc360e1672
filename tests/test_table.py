"""Label tables: what is understood, what is refused and how it is said."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import Compartment, Vocabulary, load_vocabulary
from protloc.errors import TableError

KAGGLE = load_vocabulary("kaggle2018")
SPARSE = Vocabulary("sparse", (Compartment(40, "A"), Compartment(2, "B"), Compartment(7, "C")))

Read = Callable[..., LabelTable]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a table from text or bytes."""

    def from_text(text: str | bytes, vocabulary: Vocabulary = KAGGLE) -> LabelTable:
        file = tmp_path / "train.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_labels(file, vocabulary)

    return from_text


@pytest.mark.parametrize(
    "text",
    [
        "Id,Target\na,7 1 2 0\nb,\nc,25\n",
        "Id,Target\r\na,7 1 2 0\r\nb,\r\nc,25\r\n",
        "Id,Target\ra,7 1 2 0\rb,\rc,25",
        "\ufeffId,Target\na,7 1 2 0\nb,\nc,25",
        '"Id","Target"\n"a","7 1 2 0"\n"b",""\n"c","25"\n',
        "\n\nId,Target\n\na,0 1 2 7\n,\n  ,  \nb,   \nc,25 25\n\n",
        "target,remark,ID\n7|1|2|0,x,a\n,,b\n25,,c\n",
        " id , Label \n a , 7  1\t2 0 \nb,\nc,025\n",
        "Id,Labels,Gene\na,7 1 2 0,G\nb,,G\nc,25,G,and more\n",
    ],
    ids=["plain", "crlf", "cr", "bom", "quotes", "blank lines", "other order", "spaces", "more columns"],
)
def test_every_way_to_write_a_table_reads_the_same(read: Read, text: str) -> None:
    table = read(text)
    assert table.ids == ("a", "b", "c") == table.groups
    assert table.labels == ((0, 1, 2, 7), (), (25,))
    assert len(table) == 3


def test_targets_rows_and_label_sets(read: Read) -> None:
    table = read("Id,Target\na,7 40\nb,2\nc,40 7\nd,\n", SPARSE)
    assert table.targets.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 0, 0]]
    assert table.rows["c"] == 2
    assert table.label_sets == {(7, 40): 2, (2,): 1, (): 1}


def test_ids_are_kept_as_text(read: Read) -> None:
    assert read('Id,Target\n007,1\n"a,b",2\n1e5,3\nnull,4\nZellkörper 図,5\n').ids == (
        "007",
        "a,b",
        "1e5",
        "null",
        "Zellkörper 図",
    )


@pytest.mark.parametrize("word", ["x", "1.5", "-1", "²", "٣", "1e1", "0x1", "1,2", "None", "16.0"])
def test_what_is_not_a_number_is_refused(read: Read, word: str) -> None:
    told = f"train.csv, line 3: label {word!r} is not a number, expected class ids of kaggle2018 with spaces between"
    with pytest.raises(TableError, match=re.escape(told)):
        read(f'Id,Target\na,0\nb,"3 {word} 4"\n')


@pytest.mark.parametrize("word", ["28", "999", "9" * 30, "9" * 5000])
def test_a_class_that_is_not_in_the_vocabulary_is_refused(read: Read, word: str) -> None:
    told = rf"line 2: class {word} is not in the vocabulary kaggle2018 \(0 to 27\)\. Correct the label, or name"
    with pytest.raises(TableError, match=told):
        read(f"Id,Target\na,{word}\n")


def test_a_gap_in_the_vocabulary_is_no_class(read: Read) -> None:
    with pytest.raises(TableError, match=r"class 3 is not in the vocabulary sparse \(2 to 40\)"):
        read("Id,Target\na,3\n", SPARSE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "train.csv, line 1: the columns are [], expected Id and Target. Name the columns"),
        ("\n\n", "the columns are []"),
        ("Id,Target\n", "train.csv: no field in it, expected a line a field under the column names"),
        ("a,1\nb,2\n", "line 1: the columns are ['a', '1'], expected Id and Target"),
        ("Id,Class\na,1\n", "the columns are ['Id', 'Class']"),
        ("Id;Target\na;1\n", "the columns are ['Id;Target'], expected Id and Target. Name the columns in the first"),
        ("\nName,Target\na,1\n", "line 2: the columns are ['Name', 'Target']"),
        (
            "Id,Target\na,1\n\na,2\n",
            "line 4: id 'a' stands already in line 2, with other labels. Keep one line a field",
        ),
        ("Id,Target\na,1\n a ,2\n", "line 3: id 'a' stands already in line 2"),
        ("Id,Target\na\n", "line 2: 1 cells ['a'], expected at least an id and a label cell"),
        ("Id,Target\n,1\n", "line 2: the id is empty. Give every field an id or delete the line"),
        ('Id,Target\na,"1\nb,2\n', "line 3: not CSV (unexpected end of data). Save the table as comma-separated text"),
        ('Id,Target\na,"1"2\n', "line 2: not CSV"),
        ("Id,Target\na," + "1 " * 70000 + "\n", "line 2: not CSV (field larger than field limit"),
        ("Id,Target\na,1\n".encode("utf-16"), "train.csv: not UTF-8 text"),
        ("Id,Target\na,1\n".encode("utf-16-le"), "train.csv: holds NUL bytes, expected UTF-8 text"),
        ("Id,Target\nK\xf6rper,1\n".encode("latin-1"), "train.csv: not UTF-8 text"),
        ("Id,Target\na\0,1\n", "train.csv: holds NUL bytes"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "train.csv: not UTF-8 text"),
    ],
)
def test_a_wrong_table_is_refused_with_place_value_and_remedy(read: Read, text: str | bytes, told: str) -> None:
    with pytest.raises(TableError, match=re.escape(told)):
        read(text)


def test_a_line_that_repeats_another_is_read_once_and_counted(read: Read) -> None:
    table = read("Id,Target\na,1 2\nb,\na,2 1\nb,\n a ,1|2\nc,0\n")
    assert (table.ids, table.labels) == (("a", "b", "c"), ((1, 2), (), (0,)))
    assert table.repeated == 3
    assert read("Id,Target\na,1\n").repeated == 0
    with pytest.raises(TableError, match="line 4: id 'a' stands already in line 2, with other labels"):
        read("Id,Target\na,1\na,1\na,\n")


def test_the_real_table_with_repeated_lines_is_read(real_data: Path) -> None:
    table = read_labels(real_data / "tables" / "hpa_v18.csv", KAGGLE)
    assert (len(table), table.repeated) == (77_864, 14)


def test_a_missing_table_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone\.csv: cannot be read \(No such file or directory\)\. Give an existing"):
        read_labels(tmp_path / "gone.csv", KAGGLE)
    with pytest.raises(TableError, match="cannot be read"):
        read_labels(tmp_path, KAGGLE)


field_ids = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool)
label_sets = st.frozensets(st.integers(0, 27)).map(sorted)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.dictionaries(field_ids, label_sets, min_size=1), st.sampled_from([" ", "|"]), st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read(read: Read, fields: dict[str, list[int]], between: str, line_end: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator=line_end)
    writer.writerow(["Id", "Target"])
    writer.writerows((field, between.join(map(str, labels))) for field, labels in fields.items())
    table = read(written.getvalue())
    assert dict(zip(table.ids, map(list, table.labels), strict=True)) == fields
