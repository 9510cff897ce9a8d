"""Configuration: YAML files validated by frozen pydantic models; unknown keys are errors that name the closest key.

OmegaConf and pydantic-settings were considered: neither has `extends:`, paths relative to the file they stand in, or YAML 1.2
booleans (a column called `No`), and both would wrap the 30 lines that do.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from crm_spark.core.errors import ConfigError

EXTENDS = "extends"


class Config(BaseModel):
    """Base of all configuration sections: frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=BaseModel)


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError("expected an IANA time zone such as Europe/Berlin") from None
    return zone


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""Name of an IANA time zone."""


class _Loader(yaml.SafeLoader):
    """Safe loader with the booleans of YAML 1.2, `true` and `false`: a column called No stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parsed_yaml(text: str) -> Any:
    """Content of a YAML text, read like a configuration file: `No` is a word.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    return yaml.load(text, _Loader)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file with a safe loader."""
    try:
        content = parsed_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give the path of a YAML file.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", "") or "not YAML"
        raise ConfigError(f"{path}:{line} is not valid YAML ({problem}). Correct the file.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(content).__name__}.")
    return content


def merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Merge `overlay` into `base`, mapping by mapping; lists and scalars are replaced."""
    result = dict(base)
    for key, value in overlay.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def read_layered(path: Path) -> dict[str, Any]:
    """Read a YAML file and the files that it extends, directly or indirectly.

    Values that begin with `./` or `../` are paths relative to the file that contains them.
    """
    content = _located(read_yaml(path), path.parent.resolve())
    parent = content.pop(EXTENDS, None)
    if parent is None:
        return content
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends: expected the path of a YAML file, got {type(parent).__name__}.")
    return merged(read_layered(path.parent / parent), content)


def _located(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _located(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_located(inner, folder) for inner in value]
    is_relative = isinstance(value, str) and value.startswith(("./", "../"))
    return str((folder / value).resolve()) if is_relative else value


def parse_overrides(assignments: list[str]) -> dict[str, Any]:
    """Parse `section.key=value` assignments into a nested mapping; values are YAML scalars."""
    result: dict[str, Any] = {}
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        keys = dotted.strip().split(".")
        if not separator or not all(keys):
            raise ConfigError(f"--set {assignment}: expected section.key=value.")
        try:
            value = yaml.load(text, _Loader)
        except yaml.YAMLError:
            value = text
        nested: dict[str, Any] = {keys[-1]: value}
        for key in reversed(keys[:-1]):
            nested = {key: nested}
        result = merged(result, nested)
    return result


def validated(model: type[C], content: dict[str, Any], *, origin: str) -> C:
    """Validate `content` as a `model`.

    Raises:
        ConfigError: names the origin, the key, the value and the allowed values; for an unknown key the closest known one.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_sentence(model, dict(problem)) for problem in error.errors()]
        raise ConfigError("\n".join(f"{origin}: {line}" for line in lines)) from None


def _sentence(model: type[BaseModel], problem: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, problem["loc"][:-1])
        nearest = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"; did you mean '{nearest[0]}'?" if nearest else f"; known keys: {', '.join(known)}" if known else ""
        return f"{path}: unknown key{hint}"
    if problem["type"] == "missing":
        return f"{path}: missing, and there is no default"
    got = problem.get("input")
    if problem["type"] == "value_error":  # raised by a validator of this project
        message, received = problem["msg"].removeprefix("Value error, "), ""
    else:
        message, received = problem["msg"][0].lower() + problem["msg"][1:], f", got a {type(got).__name__}"
    if isinstance(got, str | int | float | bool):
        received = f", got {got!r}"
    return ": ".join(part for part in (path, message) if part) + received


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    current: Any = model
    for part in location:
        fields = getattr(current, "model_fields", {})
        if part not in fields:
            return []
        current = _model_in(fields[part].annotation)
    return sorted(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        model = _model_in(argument)
        if model is not None:
            return model
    return None
