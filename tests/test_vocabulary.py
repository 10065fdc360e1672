"""Vocabularies: the built-in one, a user's own, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.atlas.vocabulary import TAKEN_NAMES, Compartment, Vocabulary, load_vocabulary
from protloc.errors import VocabularyError

# name and GO id of the 28 classes of Kaggle 2018, in order
KAGGLE_2018 = """
Nucleoplasm GO:0005654 | Nuclear membrane GO:0031965 | Nucleoli GO:0005730 | Nucleoli fibrillar center GO:0001650
Nuclear speckles GO:0016607 | Nuclear bodies GO:0016604 | Endoplasmic reticulum GO:0005783
Golgi apparatus GO:0005794 | Peroxisomes GO:0005777 | Endosomes GO:0005768 | Lysosomes GO:0005764
Intermediate filaments GO:0045111 | Actin filaments GO:0015629 | Focal adhesion sites GO:0005925
Microtubules GO:0015630 | Microtubule ends GO:1990752 | Cytokinetic bridge GO:0045171 | Mitotic spindle GO:0072686
Microtubule organizing center GO:0005815 | Centrosome GO:0005813 | Lipid droplets GO:0005811
Plasma membrane GO:0005886 | Cell junctions GO:0030054 | Mitochondria GO:0005739 | Aggresome GO:0016235
Cytosol GO:0005829 | Cytoplasmic bodies GO:0036464 | Rods & rings
"""


@pytest.mark.parametrize("name", ["id", "answer", "present", "ask", "spread", "Golgi; ER"])
def test_a_name_that_a_table_of_answers_cannot_bear_is_refused(name: str) -> None:
    with pytest.raises(VocabularyError, match="expected no semicolon"):
        Vocabulary("own", (Compartment(0, name),))


def own(folder: Path, text: str | bytes, name: str = "mine.csv") -> Vocabulary:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_vocabulary(file)


def test_the_28_classes_are_those_of_the_competition() -> None:
    expected = [line.strip() for row in KAGGLE_2018.strip().splitlines() for line in row.split("|")]
    vocabulary = load_vocabulary("kaggle2018")
    assert [f"{c.name} {c.go}".strip() for c in vocabulary.compartments] == expected
    assert [c.id for c in vocabulary.compartments] == list(range(28))
    assert all(c.group for c in vocabulary.compartments)


TWO_CLASSES = {
    "plain.csv": "id,name,go,group\n7,Golgi,GO:0005794,\n3,Cytosol,,cytosol\n",
    "windows.csv": "\ufeffID, Name, GO, Group\r\n7, Golgi, GO:0005794\r\n\r\n,,,\r\n3,Cytosol,,cytosol\r\n",
    "reordered.CSV": 'group,"name",id,go,remark\n,"Golgi",7,GO:0005794,nice\ncytosol,Cytosol,3,,',
    "plain.toml": """
        [[class]]
        id = 7
        name = "Golgi"
        go = "GO:0005794"
        [[class]]
        id = 3
        name = "Cytosol"
        group = "cytosol"
        """,
    "windows.toml": (
        '\ufeff[[class]]\r\nid = "7"\r\nname = " Golgi "\r\ngo = "GO:0005794"\r\n'
        '[[class]]\r\nid = 3\r\nname = "Cytosol"\r\ngroup = "cytosol"\r\n'
    ),
}


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_a_users_own_vocabulary_is_read(tmp_path: Path, name: str) -> None:
    vocabulary = own(tmp_path, TWO_CLASSES[name], name)
    assert vocabulary.name == Path(name).stem
    golgi, cytosol = Compartment(7, "Golgi", "GO:0005794"), Compartment(3, "Cytosol", "", "cytosol")
    assert vocabulary.compartments == (golgi, cytosol)
    assert dict(vocabulary.columns) == {7: 0, 3: 1}


@pytest.mark.parametrize("classes", [1, 2, 500])
def test_any_number_of_classes_is_fine(tmp_path: Path, classes: int) -> None:
    lines = "".join(f"{3 * number},compartment {number}\n" for number in range(classes))
    vocabulary = own(tmp_path, "id,name\n" + lines)
    assert len(vocabulary) == classes == len(vocabulary.names)
    assert vocabulary.targets([[3 * (classes - 1)]]).tolist() == [[0] * (classes - 1) + [1]]


def test_names_with_commas_quotes_and_other_scripts_are_kept(tmp_path: Path) -> None:
    assert own(tmp_path, 'id,name\n0,"Rods, ""rings"""\n1,Zytosol µ\n').names == ('Rods, "rings"', "Zytosol µ")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("v.csv", "id,name\n1,A\n1,B\n", "Vocabulary v: the id 1 comes twice. Make it unique."),
        ("v.csv", "id,name\n1,A\n2,A\n", "Vocabulary v: the name 'A' comes twice"),
        ("v.csv", "", "Vocabulary v: no class given"),
        ("v.csv", "id,name\n", "Vocabulary v: no class given"),
        ("v.toml", "", "Vocabulary v: no class given"),
        ("v.toml", "class = 5", "Vocabulary v: no class given"),
        ("v.csv", "number,name\n1,A\n", "v.csv, line 2: {'number': '1', 'name': 'A'} has no whole-number id and name"),
        ("v.csv", "id,name\n1,A\n\n2\n", "v.csv, line 4: {'id': '2'} has no whole-number id and name"),
        ("v.csv", "id,name\n1.5,A\n", "line 2: {'id': '1.5'"),
        ("v.csv", "id,name\n1_0,A\n", "line 2: {'id': '1_0'"),
        ("v.csv", "id,name\n²,A\n", "has no whole-number id"),
        ("v.csv", f"id,name\n{'9' * 5000},A\n", "has no whole-number id"),
        ("v.csv", "id,name\n-1,A\n", "line 2: id -1, name 'A'; expected an id of 0 or more and a name"),
        ("v.toml", "[[class]]\nid = 1\nname = ' '", "class 1: id 1, name ''; expected an id of 0 or more and a name"),
        ("v.csv", 'id,name\n1,"A\n', "v.csv: cannot be read as CSV (unexpected end of data). Save it as"),
        ("v.csv", "id,name\n1,A\n".encode("utf-16"), "v.csv: cannot be read as CSV"),
        ("v.toml", "[[class]\n", "v.toml: cannot be read as TOML"),
        ("v.toml", "[[class]]\nid = true\nname = 'A'\n", "v.toml, class 1: {'id': True, 'name': 'A'} has no"),
        ("v.toml", "[[class]]\nid = 1.5\nname = 'A'\n", "class 1"),
        ("v.toml", "class = ['A']\n", "v.toml, class 1: 'A' has no whole-number id and name"),
    ],
)
def test_a_wrong_vocabulary_is_refused_with_place_and_value(
    tmp_path: Path, name: str, text: str | bytes, told: str
) -> None:
    with pytest.raises(VocabularyError, match=re.escape(told)):
        own(tmp_path, text, name)


@pytest.mark.parametrize("name", ["kaggle2017", "gone.csv", "", "v.json"])
def test_an_unknown_vocabulary_names_the_known(name: str) -> None:
    with pytest.raises(
        VocabularyError, match=r"no such vocabulary; expected kaggle2018 or an existing \.csv or \.toml"
    ):
        load_vocabulary(name)


def test_targets_of_hand_worked_label_sets() -> None:
    vocabulary = Vocabulary("v", (Compartment(5, "A"), Compartment(2, "B"), Compartment(9, "C")))
    targets = vocabulary.targets([(5, 9), (), [2, 2]])
    assert targets.dtype == np.uint8
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert vocabulary.targets([]).shape == (0, 3)


names = st.text(min_size=1, max_size=9).filter(lambda name: name not in TAKEN_NAMES and ";" not in name)
entries = st.builds(Compartment, st.integers(0, 10**6), names, names, names)


@settings(max_examples=40, deadline=None)
@given(st.lists(entries, min_size=1, max_size=9, unique_by=(lambda c: c.id, lambda c: c.name)))
def test_json_gives_the_vocabulary_back(compartments: list[Compartment]) -> None:
    vocabulary = Vocabulary("v", tuple(compartments))
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


def test_json_gives_the_built_in_vocabulary_back() -> None:
    vocabulary = load_vocabulary("kaggle2018")
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary
