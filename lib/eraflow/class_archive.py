"""An archive of the classes that a job loads, which Java maps at its start: the start takes about half as long.

Without it Java finds, reads and checks some ten thousand classes in Spark's jars. It takes the archive where its class
path begins with the jars that the archive was made of, unchanged, and no folder comes before them, as the settings have
it that set-up writes beside pip's PySpark. With other settings, such as a file of them that spark-submit is given, Java
starts without, and says nothing.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Java says by itself on standard output why it does not take an archive, which is no fault of a user's.
QUIET = "-Xlog:cds=off -Xlog:cds+dynamic=off"
# What most jobs do, on a few invented prices: it has Java load the classes of plans, tables and workers. A job itself
# ends its Java in fifteen seconds, and archiving may take longer.
_SCRIPT = """
from eraflow.config import load
from eraflow.pipeline.upstream import build
from eraflow.progress import PlainProgress
from eraflow.session import session

settings = ["tables.root={folder}/tables", "synthetic.sectors=2", "synthetic.days=400", "features.engine=kernels"]
build(session(), load((), settings), PlainProgress())
"""
_CLASS_PATH = "spark.driver.extraClassPath"
_NOT_MADE = "\nnot made"
_WAIT = 600.0  # seconds: what takes a minute on two cores; without an archive jobs work as well


@dataclass(frozen=True)
class ClassArchive:
    """The archive of one environment: of the Spark in `spark`, the Java in `java`, kept in `prefix`."""

    spark: Path
    java: Path
    prefix: Path

    @property
    def path(self) -> Path:
        return self.prefix / "spark-classes.jsa"

    @property
    def options(self) -> str:
        """Java's options that take it, or do without."""
        return f'-XX:SharedArchiveFile="{self.path}" {QUIET}'

    @property
    def settings(self) -> str:
        """The line of Spark's settings that puts the jars first on Java's class path."""
        return (
            f"# Where the archive of classes is taken: see eraflow.class_archive.\n{_CLASS_PATH} {self.spark}/jars/*\n"
        )

    @property
    def is_fresh(self) -> bool:
        """Whether it was made of the jars and by the Java that are there now, or could not be made of them."""
        noted = self._note.read_text() if self._note.is_file() else ""
        return noted == self._made_of + _NOT_MADE or (self.path.is_file() and noted == self._made_of)

    def make(self, environ: Mapping[str, str]) -> bool:
        """Makes it by a small job, which takes about a minute; whether that went well. It is noted either way."""
        made_of = self._made_of
        is_made = self._is_made(environ)
        with suppress(OSError):
            self._note.write_text(made_of if is_made else made_of + _NOT_MADE)
        return is_made

    def _is_made(self, environ: Mapping[str, str]) -> bool:
        if not (self.java / "lib/server/classes.jsa").is_file():
            # Java's own classes, which ours are archived on top of: a packaged Java comes without.
            with suppress(OSError):
                subprocess.run([str(self.java / "bin/java"), "-Xshare:dump"], capture_output=True, check=False)
        with tempfile.TemporaryDirectory() as folder:
            script, no_settings = Path(folder, "job.py"), Path(folder, "conf")
            script.write_text(_SCRIPT.format(folder=folder))
            no_settings.mkdir()
            unfinished = self.path.with_suffix(f".{os.getpid()}.part")
            settings = {
                _CLASS_PATH: f"{self.spark}/jars/*",
                "spark.driver.extraJavaOptions": f'-XX:+UseParallelGC -XX:ArchiveClassesAtExit="{unfinished}" {QUIET}',
            }
            words = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
            defaults = self.spark / "conf/spark-defaults.conf"
            command = [str(self.spark / "bin/spark-submit"), "--properties-file", str(defaults), *words, str(script)]
            try:
                subprocess.run(
                    command, env=self._environment(environ, no_settings), capture_output=True, check=True, timeout=_WAIT
                )
                unfinished.replace(self.path)
            except (subprocess.SubprocessError, OSError):
                return False
            finally:
                unfinished.unlink(missing_ok=True)
        return True

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".txt")

    @property
    def _made_of(self) -> str:
        jars = sorted((self.spark / "jars").glob("*.jar"))
        found = [(jar.name, jar.stat()) for jar in jars]
        lines = [f"{name} {file.st_size} {file.st_mtime_ns}" for name, file in found]
        return "\n".join([str(self.java), (self.java / "release").read_text(), *lines])

    def _environment(self, environ: Mapping[str, str], no_settings: Path) -> dict[str, str]:
        python = str(self.prefix / "bin/python")
        return {
            **{name: value for name, value in environ.items() if name != "SPARK_SUBMIT_OPTS"},
            "SPARK_HOME": str(self.spark),
            "SPARK_CONF_DIR": str(no_settings),  # Java archives nothing where a folder with files is on its class path
            "SPARK_LOCAL_IP": "127.0.0.1",
            "JAVA_HOME": str(self.java),
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
        }
