"""The floors of the package: imports, read from the source, go down or sideways and never up."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import selfcorrect

PACKAGE = Path(selfcorrect.__file__).parent

FLOORS = {
    "records": 0,
    "files": 0,
    "seeds": 0,
    "spec": 0,
    "config": 0,
    "validation": 0,
    "jobs": 0,
    "reporting": 0,
    "plan": 0,
    "paper": 0,
    "provenance": 0,
    "reference": 0,
    "codehash": 0,
    "progress": 0,
    "tracefile": 0,
    "prompts": 1,
    "grading": 1,
    "tasks": 1,
    "lm": 2,
    "rollout": 2,
    "collect": 2,
    "learning": 3,
    "analysis": 4,
    "steps": 5,
}
TORCH_FREE_FLOORS = {0, 1, 4}
TORCH_FREE_MODULES = {"selfcorrect.learning.rewards", "selfcorrect.learning.traces"}
TORCH = {"torch", "transformers", "trl"}


@cache
def sources(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """The syntax tree of every module below ``package``, by dotted name."""
    trees = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        trees[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(), str(path))
    return trees


@cache
def imports(package: Path, module: str) -> frozenset[str]:
    """What a module's source imports anywhere in it: modules of the package, or top-level names."""
    trees = sources(package)
    is_package = (package.parent / module.replace(".", "/")).is_dir()
    found: set[str] = set()
    for node in ast.walk(trees[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = module.split(".")[: None if is_package and node.level == 1 else -node.level]
            origin = ".".join([*(up if node.level else []), *filter(None, [node.module])])
            members = {f"{origin}.{alias.name}" for alias in node.names} & trees.keys()
            # `from package import module` names the package only if something else comes with it
            found |= members if len(members) == len(node.names) else members | {origin}
    ours = package.name
    return frozenset(n if n.split(".")[0] == ours else n.split(".")[0] for n in found) - {module}


@cache
def closure(package: Path, module: str) -> frozenset[str]:
    """``module`` and all it imports, directly or not; a module runs its parents' ``__init__``."""
    done: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        done.add(name)
        if name in sources(package):
            parent = {name.rpartition(".")[0]} - {""}
            waiting |= (imports(package, name) | parent) - done
    return frozenset(done)


def floor(module: str) -> int | None:
    """A module's floor; 0 for the package itself, None if nobody gave it one."""
    _, _, rest = module.partition(".")
    return FLOORS.get(rest.split(".")[0]) if rest else 0


def is_torch_free(module: str) -> bool:
    return floor(module) in TORCH_FREE_FLOORS or module in TORCH_FREE_MODULES


def violations(package: Path = PACKAGE) -> list[str]:
    """Every breach of the house rules, in words."""
    found = []
    for module, tree in sources(package).items():
        own = floor(module)
        if own is None:
            found.append(f"{module} belongs to no floor")
            continue
        if not ast.get_docstring(tree):
            found.append(f"{module} has no docstring")
        for other in sorted(imports(package, module)):
            theirs = floor(other) if other.split(".")[0] == package.name else None
            if theirs is not None and theirs > own:
                found.append(f"{module} (floor {own}) imports {other} (floor {theirs})")
            if own == theirs == FLOORS["steps"] and not other.endswith((".steps", ".steps.cli")):
                found.append(f"{module} imports another step, {other}")
        if is_torch_free(module):
            heavy = sorted(closure(package, module) & TORCH)
            found += [f"{module} must do without {name}" for name in heavy]
    return found


def test_the_floors_hold():
    assert violations() == []


def test_the_floors_are_those_that_the_package_describes():
    items = re.findall(r"^(\d)\. (.*?)(?=^\d\. |\Z)", selfcorrect.__doc__, re.MULTILINE | re.DOTALL)
    told = {
        name: int(number) for number, names in items for name in re.findall(r"``(\w+)``", names)
    }
    assert told == FLOORS


def test_torch_free_modules_leave_torch_unloaded():
    modules = [name for name in sources() if is_torch_free(name)]
    program = (
        "import importlib, sys\n"
        f"for name in {modules}: importlib.import_module(name)\n"
        f"print(sorted({TORCH} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def test_every_kind_of_violation_is_caught(tmp_path):
    files = {
        "__init__": '"""Doc."""',
        "records": '"""Doc."""\ndef f():\n    from .lm import models',
        "attic": '"""Doc."""',
        "prompts": "import json",
        "lm/__init__": '"""Doc."""',
        "lm/models": '"""Doc."""\nimport torch.nn',
        "lm/cache": '"""Doc."""\nfrom . import models',
        "learning/__init__": '"""Doc."""',
        "learning/rewards": '"""Doc."""\nfrom selfcorrect.lm.models import load',
        "analysis/__init__": '"""Doc."""',
        "analysis/tables": '"""Doc."""\ndef f():\n    import transformers',
        "steps/__init__": '"""Doc."""',
        "steps/cli": '"""Doc."""\nfrom selfcorrect import lm, records',
        "steps/grade": '"""Doc."""\nfrom selfcorrect.steps import cli',
        "steps/plot": '"""Doc."""\nfrom selfcorrect.steps import cli, grade',
    }
    package = tmp_path / "selfcorrect"
    for name, text in files.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert violations(package) == [
        "selfcorrect.analysis.tables must do without transformers",
        "selfcorrect.attic belongs to no floor",
        "selfcorrect.learning.rewards must do without torch",
        "selfcorrect.prompts has no docstring",
        "selfcorrect.records (floor 0) imports selfcorrect.lm.models (floor 2)",
        "selfcorrect.records must do without torch",
        "selfcorrect.steps.plot imports another step, selfcorrect.steps.grade",
    ]
