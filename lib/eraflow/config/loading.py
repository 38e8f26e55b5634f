"""A configuration from its layers: base.yml, overlays, settings; one clear sentence for whatever does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from eraflow.config import ensembles, models
from eraflow.config.whole import Config
from eraflow.errors import InputError

Place = tuple[int | str, ...]  # a key, part by part
SECRET = ("submit.credentials", "submit.webhook")  # keys whose wrong value may be a secret, and is never shown


def conf_dir() -> Path:
    """The folder of base.yml: inside an installed wheel, else the checkout's conf/.

    InputError where eraflow was loaded from the archive that is meant for workers.
    """
    packaged = Path(__file__).parents[1] / "conf"
    folder = packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "conf"
    if not folder.is_dir():
        archive = Path(__file__).parents[2]
        raise InputError(
            f"{archive} holds eraflow for workers alone, without settings: where the job is started the wheel must be "
            "installed, and the archive goes to the workers by --archives, as docs/databricks.md shows."
        )
    return folder


def load(overlays: Sequence[str], settings: Sequence[str]) -> Config:
    """base.yml, then the overlays in their order (conf/demo.yml if there is none), then `dotted.key=value` settings.

    Raises InputError for a file that is missing or no YAML, an unknown key, or a value that does not fit.
    """
    return layered(overlays, settings).config


Layers = list[tuple[str, dict[str, Any]]]  # by what set them


@dataclass(frozen=True)
class Layered:
    """A configuration with its layers, and what is merged of them: models and ensembles with all their settings."""

    config: Config
    merged: Mapping[str, Any]
    layers: Layers

    def origin(self, place: Place) -> tuple[str, Place]:
        """The layer that sets what stands at `place`, and the place where it does so; the lowest where none does."""
        return _origin(place, self.layers, self.merged)


def layered(overlays: Sequence[str], settings: Sequence[str]) -> Layered:
    """What `load` gives, with where it comes from. Errors as of `load`."""
    base = conf_dir() / "base.yml"
    merged, layers = _layered((str(base), _read(base)), overlays or ["demo.yml"], settings)
    whole = ensembles.expanded(models.expanded(merged))
    return Layered(_validated(whole, layers), whole, layers)


def laid_over(config: Config, overlays: Sequence[str], settings: Sequence[str]) -> Config:
    """The config with these overlays and settings alone on top of it. Errors as of `load`."""
    return _validated(*_layered(("the run", config.resolved()), overlays, settings))


def recipe(config: Config, overlays: Sequence[str]) -> Config:
    """The config with these overlays on top, whose models and ensembles are completed as those of `load`."""
    merged, layers = _layered(("the champion", config.resolved()), overlays, [])
    return _validated(ensembles.expanded(models.expanded(merged)), layers)


def _layered(
    lowest: tuple[str, dict[str, Any]], overlays: Sequence[str], settings: Sequence[str]
) -> tuple[dict[str, Any], Layers]:
    layers = [lowest, *((str(path), _read(path)) for path in map(_find, overlays))]
    layers += [(f"--set {setting}", _setting(setting)) for setting in settings]
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = _merge(merged, layer)
    return merged, layers


def places(place: Place, merged: Mapping[str, Any]) -> Iterator[Place]:
    """Where the setting at `place` may have been given: there, or where its model or ensemble is completed."""
    yield from models.places(place, merged)
    if len(place) > 2 and place[0] == "ensembles":
        yield ("ensemble", *place[2:])


def _validated(merged: dict[str, Any], layers: Layers) -> Config:
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise InputError(_explain(error, layers, merged)) from None


def _find(name: str) -> Path:
    shipped = [conf_dir() / Path(name).name] if str(Path(name).parent) in {".", "conf"} else []
    for path in (Path(name), *shipped):
        if path.is_file():
            return path
    available = ", ".join(sorted(f"conf/{path.name}" for path in conf_dir().glob("*.yml") if path.name != "base.yml"))
    raise InputError(f"--config {name}: there is no such file; give the path of a YAML file, or one of {available}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        layer = _parsed(path.read_text(encoding="utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path} is no valid YAML: {line}{error.problem}; conf/base.yml shows how it looks.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(f"{path} is no YAML file: it holds something other than UTF-8 text.") from None
    if not isinstance(layer, dict):
        raise InputError(f"{path} must hold keys and values, as conf/base.yml does.")
    return layer


def _parsed(text: str) -> Any:
    """What a YAML text holds, by libyaml where it is there: a tenth of the time, which every command and test takes."""
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return yaml.safe_load(text)  # whose words for what is wrong are the clearer ones


def _setting(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {text}: write it as dotted.key=value, e.g. --set run.seed=7.")
    try:
        layer: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        layer = value  # a path or a name that YAML cannot read is meant as it stands
    if isinstance(layer, str | dict) and not value.lstrip().startswith(("{", '"', "'")):
        layer = value.strip()  # and so is one with a colon or a # in it
    for part in reversed(key.split(".")):
        layer = {part: layer}
    return dict(layer)


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explain(error: ValidationError, layers: Layers, merged: Mapping[str, Any]) -> str:
    """One sentence for the first fault: the key, the layer that set it, what is wrong, what to do."""
    fault = error.errors()[0]
    place = models.untagged(tuple(part for part in fault["loc"] if part != "[key]"))
    what = fault["msg"].removeprefix("Value error, ")
    if not place:  # a fault between sections: what is told begins with the key
        named, _, what = what.partition(": ")
        place = tuple(named.split("."))
    origin, place = _origin(place, layers, merged)
    key = ".".join(str(part) for part in place)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, [*_all_keys(Config), *models.model_keys(place)], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "conf/base.yml lists every key."
        return f"{origin}: unknown config key {key}; {hint}"
    if fault["type"] == "model_type":
        return f"{origin}: {key} is a section and takes no value; set one of its keys, as conf/base.yml does."
    if key in SECRET:
        return f"{origin.partition('=')[0]}: {key}: {what[:1].lower()}{what[1:]}; conf/base.yml shows what it takes."
    given = fault.get("input")
    shown = f" (given: {given!r})" if fault["loc"] and isinstance(given, str | int | float | list | None) else ""
    return f"{origin}: {key}: {what[:1].lower()}{what[1:]}{shown}; conf/base.yml shows what it takes."


def _origin(place: Place, layers: Layers, merged: Mapping[str, Any]) -> tuple[str, Place]:
    held = ((name, at) for at in places(place, merged) for name, layer in reversed(layers) if _holds(layer, at))
    return next(held, (layers[0][0], place))


def _holds(layer: Mapping[str, Any], place: Sequence[str | int]) -> bool:
    value: Any = layer
    for part in place:
        if not isinstance(value, Mapping) or part not in value:
            return isinstance(value, list | tuple)
        value = value[part]
    return True


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _all_keys(kind, f"{prefix}{name}.")
