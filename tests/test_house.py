"""The ways run downwards only, and nothing but the face prints."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "eufcc_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the cellar to the roof: a module may import from its own floor and from those below.
FLOORS = [
    ("core.errors", "core.files", "core.progress"),
    ("core.taxonomy",),
    ("core.collect", "core.metrics", "core.decisions", "core.calibration"),
    ("core.model",),
    ("core.suggestions", "core.catalogue", "core.tagging", "core.evaluation"),
    ("core.report",),
    ("commands", "console"),
    ("cli",),
    ("__main__",),
]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def floor(module: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(room + ".") for room in rooms):
            return number
    raise AssertionError(f"{module} has no floor: add it to FLOORS, and to the design")


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write the whole name"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                room = PACKAGE.parent / Path(*below.split("."))
                is_module = room.with_suffix(".py").is_file() or room.is_dir()
                found.append(below if is_module else str(node.module))
    own = [name.removeprefix("eufcc_cli.") for name in found if name.startswith("eufcc_cli.")]
    return [name for name in own if name != "core"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downwards(path: Path) -> None:
    own = name_of(path)
    if own in ("", "core"):
        return
    for imported in imports(path):
        assert floor(imported) <= floor(own), f"{own} imports {imported}, which stands above it"


@pytest.mark.parametrize("path", [p for p in MODULES if "core" in p.parts], ids=name_of)
def test_the_core_neither_prints_nor_exits(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "input", "exit", "quit"), f"{path}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr not in ("argv", "exit", "stdout", "stderr"), f"{path}:{node.lineno}"
        if isinstance(node, ast.Import):
            assert "typer" not in [alias.name for alias in node.names], f"{path}:{node.lineno}"
        if isinstance(node, ast.ImportFrom):
            # A report may draw into a string with Rich; it is the console that shows it.
            drawing = () if "report" in path.parts else ("rich", "rich.console")
            assert node.module not in ("typer", "eufcc_cli.console", *drawing), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_pickle_anywhere(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|cloudpickle)\b", text, re.MULTILINE)
    assert not re.search(
        r"torch\.(load|save)\(|np\.load\([^)]*allow_pickle=True|\beval\(|\bexec\(", text.replace(".eval(", "")
    )
