"""A digest of a module's code and of all it imports from this package.

Snakemake does not see what a step imports; with this digest among a rule's params, editing a
module reruns the rules that use it and no others.
"""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def code_hash(module: str) -> str:
    """Hex digest for a module named as in ``steps.pretrain``, with the templates beside it."""
    digest = hashlib.sha256()
    for name in sorted(closure(module)):
        path = source(name)
        assert path is not None
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        if path.name == "__init__.py":  # templates belong to their package
            for template in sorted(path.parent.glob("*.jinja")):
                digest.update(template.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def closure(module: str) -> frozenset[str]:
    """The module and every module of the package that it imports, directly or not.

    Raises:
        ValueError: there is no such module.
    """
    if source(module) is None:
        raise ValueError(f"selfcorrect has no module {module!r}")
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= imports(name)
    return frozenset(found)


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of the package that a module's source imports, anywhere in it.

    In programs too that it holds as text, for another process to run.
    """
    path = source(module)
    assert path is not None
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = re.findall(r"from (selfcorrect\.[\w.]+) import", node.value)
        for name in names:
            inner = name.removeprefix("selfcorrect").removeprefix(".")
            if name.partition(".")[0] == "selfcorrect" and inner and source(inner) is not None:
                found.add(inner)
    return frozenset(found)


def source(module: str) -> Path | None:
    """The file of a module named relative to the package; None where there is none."""
    stem = PACKAGE.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None
