"""Models as folders: `model.json` says what a model is and how a row is read, files beside it hold the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eraflow.config import fingerprint
from eraflow.errors import InputError
from eraflow.models import steps
from eraflow.models.blend import FittedBlend
from eraflow.models.fitted import Fitted
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Estimator, Member, Names
from eraflow.models.trees import LightGbmTrees, SparkTrees
from eraflow.whole_files import write_text

ABOUT = "model.json"
FORMAT = 1
_RESERVED = ("format", "target", "feature_names", "inputs", "inputs_hash", "missing", "absent", "live", "members")


@dataclass(frozen=True)
class Blend:
    """An ensemble as it is saved: the folders of its models by name, and what `FittedBlend` has of the rest."""

    places: Mapping[str, Path]
    weights: Sequence[float]
    proportion: float = 0.0
    neutral_to: Names | None = None
    riskiest: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def save(fitted: Fitted, folder: Path) -> None:
    """Writes the model: each member's files into the folder itself or, of several, into one by its name.

    Nothing of it needs Spark to be read. model.json is written last, so that a folder with one is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)  # of a fit that was cut short
    several = len(fitted.members) > 1
    members = [_described(one, fitted.inputs, folder / one.name if several else folder) for one in fitted.members]
    about = {
        "format": FORMAT,
        **fitted.facts,
        "target": fitted.target,
        "feature_names": fitted.feature_names,
        "inputs": fitted.inputs,
        "inputs_hash": fingerprint(fitted.inputs),
        "missing": fitted.missing,
        "absent": fitted.absent,
        "live": fitted.live,
        "members": members,
    }
    _write(folder, about)


def stamp(folder: Path, facts: Mapping[str, Any]) -> None:
    """Puts more facts into model.json of a saved model, by a file of its own: other names of the file keep theirs."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    _write(folder, {**about, **facts})


def save_blend(blend: Blend, folder: Path) -> None:
    """Writes an ensemble: the folders of its saved models, from its own, and how they are blended."""
    folder.mkdir(parents=True, exist_ok=True)
    models = [
        {"name": name, "folder": Path(os.path.relpath(place, folder)).as_posix(), "weight": weight}
        for (name, place), weight in zip(blend.places.items(), blend.weights, strict=True)
    ]
    neutral = {"proportion": blend.proportion, "neutral_to": blend.neutral_to, "riskiest": blend.riskiest}
    about = {"format": FORMAT, **blend.facts, "models": models, "neutralise": neutral}
    _write(folder, about)


def load(folder: Path | str) -> Fitted | FittedBlend:
    """The model or ensemble that was saved; but for the folders of an ensemble's models nothing else is needed.

    InputError where there is none, or one of another version of eraflow.
    """
    place = Path(folder)
    if not (place / ABOUT).is_file():
        raise InputError(f"{place} holds no model.json; name the folder of a saved model, as RUN/models/NAME/final.")
    about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
    if about.get("format") != FORMAT:
        raise InputError(f"{place / ABOUT} is of another version of eraflow; train the model anew.")
    if "models" in about:
        return _blend(about, place)
    if fingerprint(about["inputs"]) != about["inputs_hash"]:
        raise InputError(f"{place / ABOUT} names other features than the model was saved with; train it anew.")
    inputs, several = tuple(about["inputs"]), len(about["members"]) > 1
    members = tuple(_read(member, inputs, place / member["name"] if several else place) for member in about["members"])
    facts = {key: value for key, value in about.items() if key not in _RESERVED}
    return Fitted(inputs, about["missing"], members, about["absent"], about["live"], facts)


def selections(folder: Path) -> dict[str, dict[str, float]]:
    """What the members of a saved model have chosen to learn from, and what for.

    By the member's folder, "" of one alone.
    """
    held = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["members"]
    return {
        member["name"] if len(held) > 1 else "": step["kept"]
        for member in held
        for step in member["steps"]
        if step["step"] == "selection"
    }


def _write(folder: Path, about: Mapping[str, Any]) -> None:
    write_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")  # unsorted: features kept stand in their order


def _blend(about: Mapping[str, Any], folder: Path) -> FittedBlend:
    models = dict[str, Fitted]()
    for part in about["models"]:
        model = load(folder / part["folder"])
        assert isinstance(model, Fitted)  # the config takes models alone into ensembles
        models[part["name"]] = model
    neutral = dict(about["neutralise"])
    if neutral["neutral_to"] is not None:
        neutral["neutral_to"] = tuple(neutral["neutral_to"])
    facts = {key: value for key, value in about.items() if key not in ("format", "models", "neutralise")}
    return FittedBlend(models, tuple(part["weight"] for part in about["models"]), **neutral, facts=facts)


def _described(member: Member, inputs: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """What model.json says of a member, whose files are written."""
    folder.mkdir(parents=True, exist_ok=True)
    taken, names = [], inputs
    for step in member.steps:
        taken.append(step.save(names, folder))
        names = step.names(names)
    return {
        "name": member.name,
        "target": member.target,
        "seed": member.seed,
        "steps": taken,
        "estimator": member.estimator.save(folder),
    }


def _read(about: Mapping[str, Any], inputs: tuple[str, ...], folder: Path) -> Member:
    taken, names = list[steps.Step](), inputs
    for one in about["steps"]:
        step = steps.load(one, names, folder)
        taken.append(step)
        names = step.names(names)
    return Member(about["target"], about["seed"], tuple(taken), _estimator(about["estimator"], folder))


def _estimator(about: Mapping[str, Any], folder: Path) -> Estimator:
    match about["kind"]:
        case "lightgbm":
            return LightGbmTrees.load(about, folder)
        case "spark_forest":
            return SparkTrees.load(about, folder)
        case "linear":
            return LinearWeights.load(about, folder)
        case "tokens":
            from eraflow.models.tokens_scores import TokensScores

            return TokensScores.load(about, folder)
        case "lstm" | "transformer" | "l2gmom" as kind:
            return _follower(kind, about, folder)
    raise InputError(f"{folder}: a model of kind {about['kind']!r} is of another version of eraflow; train it anew.")


def _follower(kind: str, about: Mapping[str, Any], folder: Path) -> Estimator:
    try:
        from eraflow.models.l2gmom_scores import L2gmomScores
        from eraflow.models.sequence_scores import SequenceScores
    except ImportError:
        raise InputError(f"{folder}: {kind} follows tickers through time and predicts in Spark; install it.") from None
    return (L2gmomScores if kind == "l2gmom" else SequenceScores).load(about, folder)
