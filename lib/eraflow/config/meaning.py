"""What each setting means, and where its value comes from: the comments of base.yml, and the layers over it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from eraflow.config.loading import Layered, conf_dir, layered, places
from eraflow.config.models import Kinds
from eraflow.config.whole import Config
from eraflow.errors import InputError

BASE = "conf/base.yml"
_COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")  # no value of base.yml holds a # behind a blank: a test says so


@dataclass(frozen=True)
class Setting:
    """A setting as a command has it.

    value, default: as YAML writes them; default is that of base.yml, for a name of the user's own that of its kind,
        and the value itself where there is none.
    origin: the layer that has set the value, `--set ...` or a file, and `by` the key by which it did: of a model that
        may be one of its preset or kind.
    meaning: a comment of base.yml; empty where it has none.
    """

    key: str
    value: Any
    default: Any
    origin: str
    by: str
    meaning: str

    @property
    def is_default(self) -> bool:
        """Whether the value is the one that base.yml has under this key."""
        return self.origin == BASE and self.by == self.key


def sections() -> dict[str, str]:
    """What each section of the configuration holds, in the order of base.yml."""
    return {key: meaning(key) or _docstring(key) for key in Config.model_fields}


def described(key: str, overlays: Sequence[str], settings: Sequence[str]) -> tuple[Setting, ...]:
    """The setting of this key, or all of a section's, as these layers have them.

    InputError: a layer does not fit, or there is no such key; the sentence names the nearest.
    """
    layers = layered(overlays, settings)
    values = dict(_leaves(layers.config.resolved()))
    found = [each for each in values if each == key or each.startswith(f"{key}.")]
    if not found:
        near = difflib.get_close_matches(key, _with_sections(values), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`eraflow config` lists the sections."
        raise InputError(f"there is no setting {key}; {hint}")
    return tuple(_setting(each, values[each], layers, _defaults()) for each in found)


@cache
def _defaults() -> Mapping[str, Any]:
    return dict(_leaves(layered([str(conf_dir() / "base.yml")], []).config.resolved()))


def _setting(key: str, value: Any, layers: Layered, defaults: Mapping[str, Any]) -> Setting:
    origin, at = layers.origin(tuple(key.split(".")))
    by = ".".join(map(str, at))
    shipped = Path(origin).parent == conf_dir()
    origin = f"conf/{Path(origin).name}" if shipped else origin
    standard = [name for name in (key, *_stand_ins(key, layers)) if name in defaults]
    return Setting(
        key, value, defaults[standard[0]] if standard else value, origin, by, meaning(key, _stand_ins(key, layers))
    )


def _stand_ins(key: str, layers: Layered) -> tuple[str, ...]:
    """The keys that say what the same setting of the user's own models and ensembles is where it says nothing."""
    return tuple(".".join(map(str, place)) for place in places(tuple(key.split(".")), layers.merged))


def meaning(key: str, stand_ins: Sequence[str] = ()) -> str:
    """What base.yml says of the key, else of one that stands for it, else of the same setting of another kind."""
    comments = _comments()
    first, *rest = key.split(".")
    inner = ".".join(rest[1:])
    same = [f"kinds.{kind}.{inner}" for kind in Kinds.model_fields] if first in ("kinds", "models", "presets") else []
    found = next((comments[name] for name in (key, *stand_ins, *same) if comments.get(name)), "")
    above = key.rpartition(".")[0]  # what is written in one line has one comment
    return found or (meaning(above) if "." in above and key not in comments else "")


@cache
def _comments() -> dict[str, str]:
    """The comment of each key of base.yml that has a line of its own, empty where there is none.

    Settings that stand in one line, `{sign: 1, why: ...}`, are left out, and that line too where it says nothing.
    """
    text = (conf_dir() / "base.yml").read_text(encoding="utf-8")
    lines, found = text.splitlines(), {}
    root = yaml.compose(text, yaml.SafeLoader)
    assert root is not None
    for key, line, is_one_line in _key_lines(root):
        comment = _comment(lines, line)
        if comment or not is_one_line:
            found[key] = comment
    return found


def _key_lines(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, int, bool]]:
    """Key, line, and whether its value is several settings in one line."""
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return
    for key, value in node.value:
        is_one_line = isinstance(value, yaml.MappingNode) and bool(value.flow_style)
        yield f"{prefix}{key.value}", key.start_mark.line, is_one_line
        yield from _key_lines(value, f"{prefix}{key.value}.")


def _comment(lines: Sequence[str], start: int) -> str:
    """The comment beside a line, with the lines below that hold nothing else."""
    found = [match[1]] if (match := _COMMENT.search(lines[start])) else []
    for line in lines[start + 1 :]:
        if not line.lstrip().startswith("#"):
            break
        found.append(line.lstrip().removeprefix("#").strip())
    return " ".join(part.strip() for part in found).strip()


def _docstring(key: str) -> str:
    kind = Config.model_fields[key].annotation
    text = kind.__doc__ if isinstance(kind, type) else None
    return (text or "").partition("\n")[0].rstrip(".")


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that has a value of its own; a mapping that is empty has one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _with_sections(keys: Mapping[str, Any]) -> list[str]:
    """The keys and all that stand above them."""
    above = (".".join(key.split(".")[:depth]) for key in keys for depth in range(1, key.count(".") + 2))
    return list(dict.fromkeys(above))
