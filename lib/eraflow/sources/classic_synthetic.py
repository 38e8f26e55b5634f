"""An invented Numerai Classic data set in the shape of v5.3, written era by era, with something true to find.

Hidden stocks live through the weeks. Each has exposures to a few factors a feature group, which change slowly, and
every feature shows its group's factor through noise of its own, in five bins. Each week every stock earns a premium on
a few features, which changes slowly and has a mean other than zero, and noise. Targets are these returns over the 4 or
12 weeks that follow an era, in Numerai's five bins: those of neighbouring eras overlap, as the real ones do.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.config import ClassicSynthetic
from eraflow.errors import InputError

Bytes = npt.NDArray[np.int8]  # stocks x features
Floats = npt.NDArray[np.float64]

NAMED = (
    "agnes", "alpha", "bravo", "caroline", "charlie", "claudia", "cyrusd", "delta", "echo", "ender", "jasper", "jeremy",
    "ralph", "rowan", "sam", "teager2b", "tyler", "victor", "waldo", "xerxes",
)  # fmt: skip
ALIAS = "target"
ALIASES = ("target_ender_60", "target_cyrusd_20")  # what v5.3 and v5.0 call `target`
LONGEST = 12  # weeks of a target
TARGET_SHARES = (0.05, 0.25, 0.75, 0.95)  # of the lowest bin, of the two lowest, ...
SMALL, SMALL_IN_MEDIUM, MEDIUM = 42, 11, 780
GROUPS = {
    "intelligence": 35, "charisma": 290, "strength": 135, "dexterity": 51, "constitution": 335, "wisdom": 140,
    "agility": 145, "serenity": 95, "sunshine": 325, "rain": 666, "midnight": 244, "faith": 372, "quantum": 807,
}  # fmt: skip
FACTORS = 5  # of a group
FACTOR_DECAY = 0.97  # a week
RENEWED = 0.05  # of the stocks, each week, get noise of their own anew
PRICED = 30  # features that earn a premium
PREMIUM_DECAY = 0.9
LATE_FEATURES = 0.1  # of the features: not there yet in the first tenth of the eras
BENCHMARKS = ("v53_example_ender20", "v53_example_ender60")
PREMIUM_NOISE = 0.4
# A writer keeps what it tells of each column of each row group until the file ends: a thousand columns want few groups.
VALUES_A_ROW_GROUP = 150_000_000
ROWS_A_ROW_GROUP = 200_000
MISSING_BIN = 2  # of a feature that an era does not have


@dataclass(frozen=True)
class Week:
    """What is known of all hidden stocks at an era."""

    features: Bytes
    signal: Floats  # the part of next week's return that the features tell
    returns: Floats  # of the week that follows


@dataclass(frozen=True)
class Shape:
    """What a data set's columns are: features in the order of the files, targets, and what features.json says."""

    features: tuple[str, ...]
    targets: tuple[str, ...]  # `target_NAME_DAYS`
    metadata: Mapping[str, Any]

    @property
    def alias(self) -> str:
        """The target that the column `target` equals."""
        return next((name for name in ALIASES if name in self.targets), self.targets[0])

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """Of each feature a number from 0 to that of the last group: what moves together."""
        sets = self.metadata["feature_sets"]
        found = {name: place for place, group in enumerate(GROUPS) for name in sets.get(group, ())}
        return np.array([found.get(name, place % len(GROUPS)) for place, name in enumerate(self.features)])


def shape(config: ClassicSynthetic) -> Shape:
    """The shape that `config.metadata`, a features.json of Numerai, tells, or an invented one.

    InputError: the metadata cannot be read, or name no feature or no target.
    """
    if config.metadata is None:
        return _invented_shape(config.features)
    try:
        found = json.loads(Path(config.metadata).read_text(encoding="utf-8"))
        sets, targets = found["feature_sets"], tuple(x for x in found["targets"] if _weeks(x))
        # As in Numerai's own files, where the set `all` is sorted.
        features = sets.get("all") or sorted({name for members in sets.values() for name in members})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        features, targets, found = [], (), {}
    if not features or not targets:
        raise InputError(
            f"classic_synthetic.metadata: {config.metadata} is no features.json with feature_sets and targets; name "
            "another."
        )
    return Shape(tuple(features), targets, found)


def metadata(config: ClassicSynthetic) -> str | None:
    """A hash of the metadata's content, where the config names some."""
    if config.metadata is None:
        return None
    described = shape(config)
    return hashlib.sha256(json.dumps(described.metadata, sort_keys=True).encode()).hexdigest()[:16]


def _weeks(target: str) -> int:
    """The weeks of `target_NAME_DAYS`: 4 for 20 trading days, 12 for 60; 0 of any other name, as `target`."""
    days = target.rpartition("_")[2]
    return min(max(1, int(days) // 5), LONGEST) if days.isdigit() else 0


def write(config: ClassicSynthetic, folder: Path) -> None:
    """Writes a round's files of Numerai Classic below `folder`, at most some hundred megabytes of them in memory.

    features.json; {train, validation, live}.parquet; meta_model.parquet; {train, validation, live}_benchmark_models and
    {validation, live}_example_preds.parquet. The schema's metadata calls each of them synthetic.
    """
    described = shape(config)
    folder.mkdir(parents=True, exist_ok=True)
    last_train, last = config.train_eras, config.train_eras + config.validation_eras
    with Files(folder, described, config) as files:
        for era, week, coming in eras(config):
            split = "train" if era <= last_train else "validation" if era <= last else "live"
            files.add(split, era, week, coming)
    # Last, so that a folder that has it is whole.
    part = folder / "features.json.part"
    part.write_text(json.dumps({"synthetic": True, **described.metadata}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / "features.json")


def _invented_shape(count: int) -> Shape:
    """So many features, each the group it belongs to and a number, in sets that overlap as the real ones do.

    Of v5.0's 42 `small` features 11 are `medium`; a group's features stand in an order of its own.
    """
    random, groups = np.random.default_rng(53), list(GROUPS)
    shares = np.array(list(GROUPS.values())) / sum(GROUPS.values())
    of_feature = random.choice(len(groups), size=count, p=shares)
    names = [f"feature_{groups[group]}_{place:04d}" for place, group in enumerate(of_feature)]
    small, medium = min(SMALL, max(1, count // 5)), min(MEDIUM, max(1, count * 4 // 5))
    shuffled = random.permutation(count)
    both = round(small * SMALL_IN_MEDIUM / SMALL)
    members = {"small": shuffled[medium - both : medium - both + small], "medium": shuffled[:medium]}
    sets = {name: [names[place] for place in sorted(places)] for name, places in members.items()} | {"all": names}
    for group in GROUPS:
        if mine := [name for name in names if f"_{group}_" in name]:
            sets[group] = [mine[place] for place in random.permutation(len(mine))]
    targets = tuple(f"target_{name}_{days}" for name in NAMED for days in (20, 60))
    return Shape(tuple(names), targets, {"feature_sets": sets, "targets": [*targets, ALIAS]})


def eras(config: ClassicSynthetic) -> Iterator[tuple[int, Week, list[Floats]]]:
    """Era number, its week, and the returns of the weeks that follow as far as they are known: at most twelve."""
    live = config.train_eras + config.validation_eras + 1
    waiting: deque[Week] = deque()
    era = 1
    for number, week in enumerate(weeks(config), start=1):
        waiting.append(week)
        if number == live:
            break
        if len(waiting) > LONGEST:
            yield era, waiting[0], [later.returns for later in list(waiting)[:LONGEST]]
            waiting.popleft()
            era += 1
    while waiting:
        # The return of the live week itself has not come yet.
        yield era, waiting[0], [later.returns for later in list(waiting)[:-1]]
        waiting.popleft()
        era += 1


def weeks(config: ClassicSynthetic) -> Iterator[Week]:
    """The hidden stocks' weeks, without end."""
    random = np.random.default_rng([config.seed, config.features])
    described = shape(config)
    stocks, count = config.rows_per_era, len(described.features)
    factor_of = described.groups * FACTORS + random.integers(0, FACTORS, count)
    common = random.uniform(0.3, 0.9, count).astype(
        np.float32
    )  # the part of a feature's deviation that is its factor's
    specific = np.sqrt(1 - common**2)
    factors = _normal(random, stocks, len(GROUPS) * FACTORS)
    noise = _normal(random, stocks, count)
    priced = random.permutation(count)[:PRICED]
    mean = random.choice([-1.0, 1.0], len(priced)) * random.uniform(0.5, 1.5, len(priced))
    premium = mean
    while True:
        features = _quintiles(noise * specific + factors[:, factor_of] * common)
        expected = (features[:, priced] - 2.0) @ premium
        signal = config.signal * expected / (expected.std() or 1.0)
        yield Week(features, signal, signal + random.normal(size=stocks))
        premium = mean + PREMIUM_DECAY * (premium - mean) + random.normal(0.0, PREMIUM_NOISE, len(priced))
        factors = FACTOR_DECAY * factors + np.float32(np.sqrt(1 - FACTOR_DECAY**2)) * _normal(random, *factors.shape)
        renewed = random.random(stocks) < RENEWED
        noise[renewed] = _normal(random, int(renewed.sum()), count)


def _normal(random: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    return random.standard_normal(shape, dtype=np.float32)


def _quintiles(levels: npt.NDArray[np.float32]) -> Bytes:
    """Standard normal levels as bins 0 to 4, of the same share each."""
    features = np.zeros(levels.shape, dtype=np.int8)
    for limit in (-0.8416212, -0.2533471, 0.2533471, 0.8416212):
        features += levels > np.float32(limit)
    return features


class Files:
    """The parquet files of a round, open until the last era is in; each is written under another name until then."""

    def __init__(self, folder: Path, described: Shape, config: ClassicSynthetic) -> None:
        self._folder, self._shape, self._config = folder, described, config
        self._waiting: dict[str, list[pa.Table]] = {}
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Files:
        return self

    def __exit__(self, fault: type[BaseException] | None, *_: object) -> None:
        for name in list(self._waiting):
            self._flush(name)
        for name, writer in self._writers.items():
            writer.close()
            part = self._folder / f"{name}.parquet.part"
            if fault is None:
                part.replace(part.with_suffix(""))
            else:
                part.unlink()

    def add(self, split: str, era: int, week: Week, coming: list[Floats]) -> None:
        """An era's rows, in an order of their own, in every file that has them."""
        random = np.random.default_rng([self._config.seed, len(self._shape.features), era])
        order = random.permutation(len(week.signal))
        label = "X" if split == "live" else f"{era:04d}"
        keys = {"id": [_id(self._config.seed, era, int(stock)) for stock in order], "era": [label] * len(order)}
        targets = {name: column[order] for name, column in self._targets(random, coming).items()}
        benchmarks = {name: _ranked(week.signal + random.normal(0.0, 1.0, len(order)))[order] for name in BENCHMARKS}
        meta = _ranked(week.signal + random.normal(0.0, 0.7, len(order)))[order]
        kind = "test" if split == "validation" and np.isnan(targets["target"]).all() else split
        columns = keys | {"data_type": [kind] * len(order)} | {k: _nullable(v) for k, v in targets.items()}
        self._add(split, columns | self._features(random, era, week.features[order]))
        self._add(f"{split}_benchmark_models", keys | benchmarks)
        if split != "train":
            self._add(f"{split}_example_preds", {"id": keys["id"], "prediction": benchmarks[BENCHMARKS[0]]})
        if split == "validation":
            self._add("meta_model", keys | {"data_type": [kind] * len(order), "numerai_meta_model": meta})

    def _targets(self, random: np.random.Generator, coming: list[Floats]) -> dict[str, Floats]:
        """Bins of the return over the weeks to come; each named target sees it through a little noise of its own."""
        found = {}
        stocks = self._config.rows_per_era
        for name in sorted(self._shape.targets, key=_weeks):
            weeks_long = _weeks(name)
            is_complete = len(coming) >= weeks_long
            total = np.sum(coming[:weeks_long], axis=0) if is_complete else np.full(stocks, np.nan)
            seen = total + random.normal(0.0, 0.3 * weeks_long**0.5, stocks)
            found[name] = _target_bins(seen) if is_complete else total
        return {ALIAS: found[self._shape.alias], **found}

    def _features(self, random: np.random.Generator, era: int, features: Bytes) -> dict[str, Any]:
        """Feature columns. What an era does not have is 2 throughout, or null: both happen in the real data."""
        written_as = self._config.absent
        first_eras = era <= self._config.train_eras * LATE_FEATURES
        late = np.random.default_rng([self._config.seed, 2]).random(len(self._shape.features)) < LATE_FEATURES
        columns: dict[str, Any] = {}
        for place, name in enumerate(self._shape.features):
            column = np.ascontiguousarray(features[:, place])
            if first_eras and late[place]:
                as_null = written_as == "nulls" or (written_as == "both" and place % 2 == 1)
                column = np.full_like(column, MISSING_BIN)
                columns[name] = pa.nulls(len(column), pa.int8()) if as_null else column
            else:
                columns[name] = column
        return columns

    def _add(self, name: str, columns: dict[str, Any]) -> None:
        table = pa.table(columns).replace_schema_metadata({"synthetic": "eraflow"})
        waiting = self._waiting.setdefault(name, [])
        waiting.append(table)
        rows = sum(part.num_rows for part in waiting)
        if rows >= ROWS_A_ROW_GROUP or rows * table.num_columns >= VALUES_A_ROW_GROUP:
            self._flush(name)

    def _flush(self, name: str) -> None:
        table = pa.concat_tables(self._waiting.pop(name))
        if name not in self._writers:
            part = self._folder / f"{name}.parquet.part"
            self._writers[name] = pq.ParquetWriter(part, table.schema, compression="zstd", write_statistics=["era"])
        self._writers[name].write_table(table, row_group_size=table.num_rows)


def _id(seed: int, era: int, stock: int) -> str:
    """Unique for stock and era, and no way back from it to either."""
    return "n" + hashlib.blake2b(f"{seed} {era} {stock}".encode(), digest_size=8).hexdigest()[:15]


def _target_bins(x: Floats) -> Floats:
    return np.searchsorted(TARGET_SHARES, _ranked(x)) / 4.0


def _ranked(x: Floats) -> Floats:
    """Ranks between 0 and 1, both excluded."""
    return (x.argsort().argsort() + 0.5) / len(x)


def _nullable(x: Floats) -> pa.Array:
    return pa.array(x.astype(np.float32), from_pandas=True)
