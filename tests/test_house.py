"""Only the command line prints, nothing in the package loads a pickle, and each module has its own name."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "eufcc_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


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
            drawing = () if {"report", "writers"} & set(path.parts) else ("rich", "rich.console")
            assert node.module not in ("typer", "eufcc_cli.console", *drawing), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_pickle_anywhere(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|cloudpickle)\b", text, re.MULTILINE)
    assert not re.search(
        r"torch\.save\(|torch\.load\((?!.*weights_only=True)|np\.load\([^)]*allow_pickle=True|\beval\(|\bexec\(",
        text.replace(".eval(", ""),
    )


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.name for path in MODULES)
    assert [name for name, number in names.items() if number > 1] == ["__init__.py"]
