"""Checking settings: frozen, typed objects that refuse what they do not know, naming the key."""

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

AnyModel = TypeVar("AnyModel", bound="Strict")
_NUMBERS = ("int_type", "float_type", "bool_type")  # pydantic's errors of what should be such


class ConfigError(ValueError):
    """A config that cannot be run; every line of the message names a key."""


class KeyFaultError(ValueError):
    """Raised inside a validator to blame one ``key`` of the section that is being checked."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


class Strict(BaseModel):
    """Frozen, and refuses unknown keys and silent conversions ("1e-5" is text, not a number)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def parse(model: type[AnyModel], raw: Mapping[str, Any]) -> AnyModel:
    """``raw`` as a ``model``; lists become tuples and nothing else is converted.

    Raises:
        ConfigError: with one line per faulty key.
    """
    try:
        return model.model_validate_json(json.dumps(raw, default=str))  # YAML knows dates
    except ValidationError as error:
        raise ConfigError(_explained(error, model)) from None


def unknown_name(where: str, name: Any, known: Mapping[str, Any]) -> str:
    """The message for a reference at ``where`` to a ``name`` that is not among ``known``."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    hint = f"; did you mean `{close[0]}`?" if close else f"; there are {', '.join(known)}"
    return f"{where}: there is no `{name}`{hint}"


def _explained(error: ValidationError, model: type[BaseModel]) -> str:
    """One line per faulty key: its dotted path, what is wrong, and what was given."""
    faults: dict[str, list[str]] = {}
    for item in error.errors():
        # pydantic puts "[key]" and names of a union's members among the keys; no key has a bracket
        path, section = _walk(model, [str(part) for part in item["loc"] if "[" not in str(part)])
        cause = item.get("ctx", {}).get("error")
        if item["type"] == "too_short" and any(
            key.startswith(f"{'.'.join(path)}.") for key in faults
        ):
            continue  # of a list whose faulty items were just told
        if item["type"] == "extra_forbidden":
            known = list(section.model_fields)
            close = difflib.get_close_matches(path[-1], known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"
            message = f"unknown key; {hint}"
        elif item["type"] == "missing":
            message = "missing"
        elif isinstance(cause, KeyFaultError):
            path.append(cause.key)
            message = str(cause)
        else:
            message = item["msg"].removeprefix("Value error, ")
            if not isinstance(item["input"], dict | list):
                message += f" (got {item['input']!r})"
            if item["type"] in _NUMBERS and isinstance(item["input"], str):
                message += "; in the braces of --config all is text: use an overlay"
        faults.setdefault(".".join(path) or "config", []).append(message)
    return "\n".join(f"{where}: {', or: '.join(said)}" for where, said in faults.items())


def _walk(model: type[BaseModel], keys: list[str]) -> tuple[list[str], type[BaseModel]]:
    """A path of ``keys`` without the kinds that pydantic adds to it, and the section it ends in.

    Where a section may be of several kinds, the key is followed by the kind that was tried.
    """
    section, path = model, []
    members: dict[str, type[BaseModel]] = {}
    for key in keys:
        if key in members:
            section, members = members[key], {}
            continue
        path.append(key)
        members = {}
        field = section.model_fields.get(key)
        # else: a name in a dict of sections, which `section` already is
        if field is not None:
            found = _sections(field.annotation)
            section = found[0] if found else section
            members = {kind: each for each in found if (kind := _kind(each))}
    return path, section


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The models inside an annotation such as ``X``, ``X | None`` or ``dict[Name, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections(part)]


def _kind(section: type[BaseModel]) -> str | None:
    """What the `kind` of a section must be; None for a section without one."""
    field = section.model_fields.get("kind")
    return None if field is None else str(get_args(field.annotation)[0])
