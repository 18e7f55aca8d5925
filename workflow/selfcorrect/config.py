"""From the config as YAML gives it to the checked ``Config``: overlays, variants, references."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from selfcorrect.spec import Config
from selfcorrect.spec.source import local_files
from selfcorrect.validation import ConfigError, parse, unknown_name

# What is there before any overlay, in this order.
DEFAULTS = ("config/config.yaml", "config/benchmarks.yaml")


def default(repository: Path) -> dict[str, Any]:
    """The config without any overlay, as YAML gives it."""
    raw: dict[str, Any] = {}
    for name in DEFAULTS:
        raw = merged(raw, yaml.safe_load((repository / name).read_text()))
    return raw


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top; mappings merge key by key, anything else is replaced."""
    out = dict(base)
    for key, value in over.items():
        inner = out.get(key)
        out[key] = (
            merged(inner, value)
            if isinstance(inner, Mapping) and isinstance(value, Mapping)
            else value
        )
    return out


def load(raw: Mapping[str, Any]) -> Config:
    """Check a config as Snakemake read it and expand ``variant_of``.

    Raises:
        ConfigError: a key is unknown, missing, of the wrong type or out of range, a method
            refers to one that is not there, or starts from itself.
    """
    config = parse(Config, expanded(raw))
    _check_references(config)
    return config


def expanded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A config in which every variant has all that it inherits.

    Raises:
        ConfigError: what a task or method is a variant of is not there, or itself.
    """
    out = dict(raw)
    for section in ("tasks", "methods"):
        entries = raw.get(section)
        if isinstance(entries, Mapping):
            out[section] = {name: _expanded(section, name, entries) for name in entries}
    return out


def check_paths(config: Config) -> None:
    """Refuse a model that is written as a local path, or a file, that is not there.

    A name on the Hub can only be looked up when it is loaded.

    Raises:
        ConfigError: names the key.
    """
    for name in config.run.tasks:
        task = config.tasks[name]
        repairs = task.evaluation.repairs
        for key, path in {
            "model.path": task.model.path,
            "evaluation.repairs.writer": repairs.writer,
        }.items():
            if path is None or Path(path).is_dir():
                continue
            if path.startswith((".", "/", "~")) or path.count("/") > 1:
                raise ConfigError(
                    f"tasks.{name}.{key}: no such folder: {path}; correct it, or give a name on "
                    "the Hub"
                )
        files = {"evaluation.repairs.file": repairs.file} if repairs.file is not None else {}
        for section, data in task.sections.items():
            files |= {f"{section}.{key}": path for key, path in local_files(data).items()}
        for key, path in files.items():
            if not Path(path).is_file():
                raise ConfigError(
                    f"tasks.{name}.{key}: no such file: {path}; correct it in the config"
                )


def _expanded(
    section: str, name: str, entries: Mapping[str, Any], seen: tuple[str, ...] = ()
) -> Any:
    """A task or method with all that it inherits."""
    own = entries[name]
    parent = own.get("variant_of") if isinstance(own, Mapping) else None
    if not isinstance(parent, str):
        return own  # no variant, or nothing that can be one: `parse` says so
    where = f"{section}.{name}.variant_of"
    if parent in (*seen, name):
        raise ConfigError(f"{where}: {name} is a variant of itself")
    if parent not in entries:
        raise ConfigError(unknown_name(where, parent, entries))
    inherited = _expanded(section, parent, entries, (*seen, name))
    if not isinstance(inherited, Mapping):
        return own
    trains_otherwise = {"sft", "rl"} & own.keys()
    if section == "methods" and trains_otherwise:
        dropped = {"sft", "rl"} - trains_otherwise
        inherited = {key: value for key, value in inherited.items() if key not in dropped}
    return merged(inherited, own)


def _unequal_attempts(config: Config, where: str, methods: Sequence[str]) -> list[str]:
    """Where last attempts cannot be compared, since only some methods have more than others."""
    found = []
    for task in (name for name in config.run.tasks if name in config.tasks):
        many = config.tasks[task].evaluation.many_turns_for
        left = [name for name in methods if name not in many]
        if 0 < len(left) < len(methods):
            found.append(
                f"{where}: its methods have different numbers of attempts; add {', '.join(left)} "
                f"to tasks.{task}.evaluation.many_turns_for"
            )
    return found


def _check_references(config: Config) -> None:
    problems = []
    for name in config.run.tasks:
        if name not in config.tasks:
            problems.append(unknown_name("run.tasks", name, config.tasks))
    if not isinstance(config.run.methods, str):
        for name in config.run.methods:
            if name not in config.methods:
                problems.append(unknown_name("run.methods", name, config.methods))
    for task_name, task in config.tasks.items():
        of = task.evaluation
        for key, names in {
            "many_turns_for": of.many_turns_for,
            "voting.methods": of.voting.methods,
            "familiar.methods": of.familiar.methods,
            "snapshots.methods": of.snapshots.methods,
        }.items():
            where = f"tasks.{task_name}.evaluation.{key}"
            problems += [
                unknown_name(where, name, config.methods)
                for name in names
                if name not in config.methods
            ]
    for sweep_name, sweep in config.sweeps.items():
        where = f"sweeps.{sweep_name}"
        methods = {"methods": tuple(sweep.methods), "lines": sweep.lines}
        problems += [
            unknown_name(f"{where}.{key}", name, config.methods)
            for key, names in methods.items()
            for name in names
            if name not in config.methods
        ]
        if sweep.attempt == "last":
            problems += _unequal_attempts(config, f"{where}.attempt", tuple(sweep.methods))
        problems += [
            unknown_name(f"{where}.tasks", name, config.tasks)
            for name in sweep.tasks
            if name not in config.tasks
        ]
    if config.run.methods == "sweeps" and not config.sweeps:
        problems.append("run.methods: sweeps, but `sweeps` has none")
    for name, method in config.methods.items():
        where = f"methods.{name}.start"
        if method.start is None:
            if method.sft or method.rl or name != "base":
                problems.append(f"{where}: only the method `base` starts from nothing")
        elif method.start not in config.methods:
            problems.append(unknown_name(where, method.start, config.methods))
        else:
            seen, at = [name], config.methods[name].start
            while at is not None and at not in seen and at in config.methods:
                seen.append(at)
                at = config.methods[at].start
            if at == name:
                problems.append(f"{where}: {name} starts from itself ({' <- '.join([*seen, at])})")
    if "base" not in config.methods:
        problems.append("methods.base: missing; every comparison is made against it")
    if problems:
        raise ConfigError("\n".join(problems))
