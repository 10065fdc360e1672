"""The rooms, their import order, their size."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "protloc"
MODULES = sorted(SOURCE.rglob("*.py"))
# a room imports only from rooms before it
ROOMS = (
    ("errors", "progress"),
    ("settings",),
    ("atlas",),
    ("curate",),
    ("judge",),
    ("learn",),
    ("apply",),
    ("show",),
    ("verbs",),
    ("serve",),
    ("console", "options"),
    ("commands",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
NUMBERS = {"numpy", "scipy"}
FILES = {"pandas", "pyarrow"}
HEAVY = ("torch", "lightning", "matplotlib")


def name_of(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).with_suffix("").parts[0]


def imports(node: ast.AST, *, late: bool) -> Iterator[str]:
    """Yield the full names of imported modules; those that importing the file does not load only if ``late``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif late or not is_late(child):
            yield from imports(child, late=late)


def is_late(node: ast.AST) -> bool:
    """Tell whether importing the file leaves this statement out: a function's body, ``if TYPE_CHECKING``."""
    typing_only = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def imported(file: Path, *, late: bool = True) -> set[str]:
    return set(imports(ast.parse(file.read_text("utf-8")), late=late))


def own_rooms(names: set[str]) -> set[str]:
    """Return the rooms among imported names; ``protloc`` itself is the rim that any room may not import."""
    return {[*name.split("."), ""][1] for name in names if name.split(".")[0] == "protloc"}


def heavy_after(modules: list[str]) -> list[str]:
    """Import modules in a fresh interpreter, and return what heavy things came with them."""
    code = (
        "import importlib, json, sys\n"
        "for module in sys.argv[1:]: importlib.import_module(module)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code, *modules], check=True, capture_output=True)  # noqa: S603
    return json.loads(ran.stdout)


def test_every_module_is_in_a_known_room() -> None:
    assert {room_of(file) for file in MODULES} - {"__init__", "__main__"} <= set(LEVEL)


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_rooms_import_only_rooms_before_them(file: Path) -> None:
    room = room_of(file)
    level = LEVEL.get(room, len(ROOMS))  # the package's own __init__ may import all of them
    later = {other for other in own_rooms(imported(file)) if other != room and LEVEL.get(other, len(ROOMS)) >= level}
    assert not later, f"{name_of(file)} imports from {sorted(later)}, which is not before {room}"


@pytest.mark.parametrize("file", [file for file in MODULES if room_of(file) in ("curate", "judge")], ids=name_of)
def test_the_statistics_know_only_numbers(file: Path) -> None:
    foreign = {name.split(".")[0] for name in imported(file)} - NUMBERS - FILES - {"protloc"} - sys.stdlib_module_names
    assert not foreign


@pytest.mark.parametrize("module", ["protloc", "protloc.cli"])
def test_the_package_and_its_command_line_load_light(module: str) -> None:
    assert heavy_after([module]) == []


def test_prediction_loads_without_lightning() -> None:
    predicting = [module_of(file) for file in MODULES if room_of(file) in ("atlas", "apply")]
    assert "lightning" not in heavy_after([*predicting, "protloc.learn.bundle"])


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_says_in_twelve_words_what_it_is_for(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    assert docstring, f"{name_of(file)} has no docstring"
    assert len(docstring.splitlines()[0].split()) <= 12


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_no_module_is_longer_than_400_lines(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 400


def test_no_modules_import_each_other() -> None:
    graph = {module_of(file): own_modules(file) for file in MODULES}
    settled: set[str] = set()
    while len(settled) < len(graph):
        free = {
            module
            for module, needs in graph.items()
            if module not in settled and needs & set(graph) <= settled | {module}
        }
        assert free, f"modules import each other: {sorted(set(graph) - settled)}"
        settled |= free


def module_of(file: Path) -> str:
    return ".".join(("protloc", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def own_modules(file: Path) -> set[str]:
    """Return the modules of ours which are imported when ``file`` is."""
    names = {name for name in imported(file, late=False) if name.split(".")[0] == "protloc"}
    modules = {module_of(each) for each in MODULES}
    return {name if name in modules else name.rpartition(".")[0] for name in names}


def test_the_rules_catch_a_module_that_breaks_them(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import torch.nn as nn\n"
        "from protloc import cli\n"
        "if TYPE_CHECKING:\n    import lightning\n"
        "def late():\n    from protloc.show.page import render\n"
    )
    assert imported(broken) == {"torch.nn", "protloc.cli", "lightning", "protloc.show.page.render"}
    assert imported(broken, late=False) == {"torch.nn", "protloc.cli"}
    assert own_rooms(imported(broken)) == {"cli", "show"}
