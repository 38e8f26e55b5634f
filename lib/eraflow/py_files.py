"""A zip for workers that lack eraflow: its code, and the packages of pure Python that its tasks import.

Executors unpack it (`--archives FILE#eraflow-code`, with `eraflow-code` as their PYTHONPATH), or import from it as it
is (`--py-files`, with `spark.python.daemon.module=pyspark.daemon`, where plain Python starts the job: a driver of
spark-submit would take it for its own eraflow). Python loads no native code from a zip, so the workers must have the
native packages themselves: `native` names them.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from eraflow.errors import InputError
from eraflow.workers import MODULES

PACKAGE = Path(__file__).parent
NATIVE = {".so", ".pyd", ".dylib"}
FIRST = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell: the same content makes the same bytes


def native() -> tuple[str, ...]:
    """The packages that eraflow asks for, that its tasks import, and that a worker must have installed."""
    return tuple(sorted(name for name in _imported() if _pure(name) is None))


def write(file: Path) -> None:
    """Writes the zip: eraflow without its configurations and jobs, and the pure packages that its tasks import."""
    members = dict(_package_files())
    for name in sorted(_imported()):
        for found in _pure(name) or ():
            members |= dict(_files(found))
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, source in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(member, FIRST), source.read_bytes(), zipfile.ZIP_DEFLATED)


def _imported() -> set[str]:
    """The packages that eraflow's own metadata name and that a process of workers has loaded."""
    for name in MODULES:
        import_module(name)
    tops = {name.partition(".")[0] for name in sys.modules}
    loaded = {_normal(found) for top, names in packages_distributions().items() if top in tops for found in names}
    return loaded & set(_requirements(distribution(PACKAGE.name)))


def _pure(name: str) -> tuple[Distribution, ...] | None:
    """The package with all that it needs, or None where any of these holds native code."""
    found: dict[str, Distribution] = {}
    open_ends = [name]
    while open_ends:
        each = open_ends.pop()
        if each in found:
            continue
        with suppress(PackageNotFoundError):
            found[each] = distribution(each)
            open_ends += _requirements(found[each])
    is_native = any(Path(str(file)).suffix in NATIVE for each in found.values() for file in each.files or ())
    return None if is_native else tuple(found.values())


def _requirements(package: Distribution) -> list[str]:
    """Normal names of what a package needs here, extras left out."""
    requirements = map(Requirement, package.requires or ())
    return [_normal(each.name) for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _package_files() -> Iterator[tuple[str, Path]]:
    apart = {"conf", "jobs", "__pycache__"}
    for file in PACKAGE.rglob("*"):
        place = file.relative_to(PACKAGE.parent)
        if file.is_file() and not apart & set(place.parts):
            yield place.as_posix(), file


def _files(package: Distribution) -> Iterable[tuple[str, Path]]:
    """What a package has installed below its site's folder, but for metadata and bytecode."""
    for file in package.files or ():
        place = PurePosixPath(file)
        if ".." not in place.parts and place.suffix != ".pyc" and not place.parts[0].endswith((".dist-info", ".data")):
            yield str(place), Path(str(package.locate_file(file)))


def main(arguments: list[str]) -> int:
    """The exit code of `python -m eraflow.py_files FILE`, which writes the zip and says what it cannot hold."""
    if len(arguments) != 1:
        raise InputError("Say python -m eraflow.py_files FILE, with the name of the zip.")
    write(Path(arguments[0]))
    sys.stdout.write(f"{arguments[0]}: for workers that have {', '.join(native())}\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
