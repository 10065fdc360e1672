"""The harness of make bench: who is compared with whom, and what the table says of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the benchmarks importable, here and in contenders, who start in their folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a contender that counts: ``python -m bench.counter COUNT FILE`` writes who went."""
    from bench import contest

    (tmp_path / "bench").mkdir()
    for name in ("__init__.py", "contest.py"):
        (tmp_path / "bench" / name).write_text((BENCHMARKS / "bench" / name).read_text())
    (tmp_path / "bench" / "counter.py").write_text(
        "import sys\n"
        "from bench.contest import take_turns\n"
        "count, file = int(sys.argv[1]), sys.argv[2]\n"
        "def run():\n"
        "    if not count: raise ValueError('nothing to count')\n"
        "    print('noise')\n"
        "    with open(file, 'a') as stream: stream.write(f'{count} ')\n"
        "    return {'count': count, 'seconds': 2.0}\n"
        "take_turns(run)\n"
    )
    monkeypatch.setattr(contest, "BENCHMARKS", tmp_path)
    return tmp_path


def test_contenders_take_turns_and_the_first_run_does_not_count(counter: Path) -> None:
    from bench.contest import Contender, Row, contest, rates

    file = counter / "went.txt"
    told = contest({"ours": Contender("counter", 6, file), "theirs": Contender("counter", 2, file)}, rounds=3)
    assert rates(told) == {"ours": [3.0] * 3, "theirs": [1.0] * 3}
    assert sorted(file.read_text().split()[:2]) == ["2", "6"], "each warms up once"
    assert file.read_text().split()[2:] == ["6", "2", "2", "6", "6", "2"]
    row = Row("count", "things/s", rates(told))
    assert (row.ratio("theirs").value, row.ratio("theirs", target=4).met) == (3.0, False)
    assert row.fastest(["theirs", "ours"]) == "ours"
    assert row.ratio("ours", of="theirs", target=0.3).met


def test_a_training_loop_is_held_after_the_steps_of_a_turn(counter: Path) -> None:
    from bench.contest import Contender, contest

    folder = counter / "bench"
    (folder / "train_turns.py").write_text((BENCHMARKS / "bench" / "train_turns.py").read_text())
    (folder / "turner.py").write_text(
        "from itertools import count\n"
        "from bench.train_turns import Turns\n"
        "turns = Turns(2)\n"
        "for step in count(1): turns.end_step(3, step=step)\n"
    )
    told = contest({"turner": Contender("turner")}, rounds=2)["turner"]
    assert [(each["count"], each["step"]) for each in told] == [(6, 4), (6, 6)], "the first two steps warm up"


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_the_limit_of_prepare_decodes_every_file(tiny_world, kind: str) -> None:
    from bench.contest import Contender

    with Contender("prepare_decoding", tiny_world.images, "cv2", kind) as contender:
        assert contender.go()["count"] == len(tiny_world.store)


@pytest.mark.parametrize("source", ["memory", "images", "decode"])
def test_prediction_answers_as_many_fields_as_are_counted(tiny_world, tmp_path: Path, source: str) -> None:
    from bench.contest import Contender

    tiny_world.untrained().save(tmp_path)
    told = {"memory": "memory", "images": tiny_world.images, "decode": f"decode:{tiny_world.images}"}
    with Contender("predict_protloc", tmp_path, told[source]) as contender:
        assert contender.go()["count"] == (512 if source == "memory" else len(tiny_world.store))


def test_a_page_of_some_sections_or_without_a_place_is_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    from bench.__main__ import BEGIN, END, main

    page = tmp_path / "page.md"
    for text, sections in ((f"{END} {BEGIN}", []), (f"{BEGIN} {END}", ["--sections", "startup"])):
        page.write_text(text)
        monkeypatch.setattr(sys, "argv", ["bench", *sections, "--out", str(page)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert page.read_text() == text
    assert "would stand for all" in capsys.readouterr().err


def test_a_contender_that_breaks_says_why(counter: Path) -> None:
    from bench.contest import Contender, contest

    with pytest.raises(RuntimeError, match="nothing to count"):
        contest({"broken": Contender("counter", 0, counter / "went.txt")})


def test_the_table_names_what_misses_its_target(tmp_path: Path) -> None:
    from bench.__main__ import BEGIN, END, as_markdown, write_between
    from bench.contest import Check, Row

    row = Row(
        "read", "fields/s", {"protloc": [10.0, 12.0, 11.0], "limit": [20.0, 20.0, 20.0]},
        (
            Check("of the limit", [0.5, 0.6, 0.55], 0.9),
            Check("memory", [1.05], 1.1, at_most=True),
            Check("told", [7.0]),
        ),
    )  # fmt: skip
    page = as_markdown([row], rounds=3, seconds=90)
    assert "| of the limit | 0.55 × (0.5 to 0.6) | ≥ 0.9 | **missed** |" in page
    assert "| memory | 1.05 × | ≤ 1.1 | met |" in page
    assert "| told | 7 × |  |  |" in page
    assert page.endswith("1 figures miss their target:\n- read: of the limit 0.55 ×")
    file = tmp_path / "performance.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between(file, page)
    write_between(file, page)
    assert file.read_text() == f"before\n{BEGIN}\n{page}\n{END}\nafter\n"


def test_every_section_of_the_bench_is_there() -> None:
    from importlib import import_module

    from bench.__main__ import SECTIONS

    for section in SECTIONS:
        assert callable(import_module(f"bench.{section}").rows)
    assert sys.path[0] == str(BENCHMARKS)
