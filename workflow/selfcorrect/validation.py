"""Checking settings: frozen, typed objects that refuse what they do not know, naming the key."""

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

AnyModel = TypeVar("AnyModel", bound="Strict")


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
        return model.model_validate_json(json.dumps(raw))
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
        path = [str(part) for part in item["loc"] if "[" not in str(part)]
        cause = item.get("ctx", {}).get("error")
        if item["type"] == "extra_forbidden":
            known = _keys_at(model, path[:-1])
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
        faults.setdefault(".".join(path) or "config", []).append(message)
    return "\n".join(f"{where}: {', or: '.join(said)}" for where, said in faults.items())


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that ``model`` knows at ``path``."""
    section = model
    for part in path:
        field = section.model_fields.get(part)
        if field is not None:
            section = _section(field.annotation) or section
        # else: a name in a dict of sections, which `section` already is
    return list(section.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as ``X``, ``X | None`` or ``dict[Name, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)
