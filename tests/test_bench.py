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
    assert row.ratio("ours", of="theirs", target=0.3).met


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
