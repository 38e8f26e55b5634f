"""What every setting is: its key, its default, what its model takes, and what base.yml says beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from eraflow.config import Config, conf_dir
from eraflow.config.meaning import meaning

FREE = frozenset({"presets", "models", "ensembles", "explain.expected"})  # what stands below is the user's own
MERGE = "<<"


@dataclass(frozen=True)
class Setting:
    """One key of the configuration; a `section` holds further keys and has neither a default nor values."""

    key: str
    default: str
    takes: str
    meaning: str
    is_section: bool = False


def settings() -> list[Setting]:
    """Every section and every setting, in the order of base.yml."""
    text = (conf_dir() / "base.yml").read_text(encoding="utf-8")
    schema = Config.model_json_schema()
    return list(_below(yaml.compose(text, Loader=yaml.SafeLoader), (), schema["$defs"], schema, {}))


def _below(
    node: yaml.MappingNode,
    place: tuple[str, ...],
    models: Mapping[str, Any],
    schema: Mapping[str, Any],
    seen: dict[int, str],
) -> Iterator[Setting]:
    """What stands in a section; `models` are schemas by name, `seen` sections that base.yml writes once for several."""
    named = {name.value for name, _ in node.value}
    for name, value in node.value:
        if name.value == MERGE:
            merged = _below(value, place, models, schema, seen)
            yield from (each for each in merged if each.key.split(".")[len(place)] not in named)
            continue
        path = (*place, name.value)
        key, field = ".".join(path), _schema(schema["properties"][name.value], models)
        is_section = isinstance(value, yaml.MappingNode) and "properties" in field and key not in FREE
        if is_section and id(value) in seen:
            yield Setting(key, f"as {seen[id(value)]}", "a section", meaning(key))
        elif is_section:
            seen[id(value)] = key
            yield Setting(key, "", "", meaning(key), is_section=True)
            yield from _below(value, path, models, field, seen)
        else:
            yield Setting(key, _default(value), _takes(field, models), meaning(key))


def _schema(found: Mapping[str, Any], models: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference names, or itself."""
    return models[found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def _default(value: yaml.Node) -> str:
    text = value.start_mark.buffer[value.start_mark.pointer : value.end_mark.pointer]
    shown = " ".join(re.sub(r"(?m)\s+#.*$", "", text).split())
    return shown if isinstance(value, yaml.ScalarNode) or value.flow_style else "see conf/base.yml"


def _takes(field: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """What a field takes, in words."""
    field = _schema(field, models)
    if "anyOf" in field:
        return " or ".join(_takes(each, models) for each in field["anyOf"])
    if "enum" in field or "const" in field:
        return ", ".join(str(each) for each in field.get("enum", [field.get("const")]))
    kind = field.get("type", "")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(field)
    if kind == "array":
        items = field.get("items", {})
        return f"a list of {_takes(items, models)}" if items.get("enum") else "a list"
    words = {"string": "a date" if field.get("format") == "date" else "text", "boolean": "true, false", "null": "null"}
    return words.get(kind, "names and values")


def _bounds(field: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return "".join(f" {word} {field[name]:,.12g}" for name, word in words.items() if name in field)
