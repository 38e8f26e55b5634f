"""The documentation as a site: built without a network and without a warning, whole, and readable on any screen."""

import json
import logging
import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config
from tests.documented import ROOT
from tests.integration.test_report_page import CHROMIUM, DARK

from eraflow.config import conf_dir

NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files", "--dump-dom",
]  # fmt: skip
LOOK = """<script>
addEventListener("load", async () => {
  const pages = PAGES, found = {};
  for (const page of pages) {
    const frame = document.createElement("iframe");
    frame.style = "width: WIDTHpx; height: 900px; border: 0";
    frame.src = page;
    document.body.append(frame);
    await new Promise((resolve) => { frame.onload = resolve; });
    const root = frame.contentDocument.documentElement, body = getComputedStyle(frame.contentDocument.body);
    const pictures = [...frame.contentDocument.querySelectorAll("article img")];
    found[page] = {
      wide: root.scrollWidth - root.clientWidth,
      paper: body.backgroundColor,
      broken: pictures.filter((picture) => !picture.naturalWidth).length,
    };
    frame.remove();
  }
  document.documentElement.setAttribute("data-told", JSON.stringify(found));
});
</script><body></body>"""


class Links(HTMLParser):
    """What a page links to and loads, and the names of its own places."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.targets.append(found["href"])
        if tag in ("script", "img", "iframe") and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loaded.append(found.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it; a warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    warnings: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    handler = Kept(logging.WARNING)
    logging.getLogger("mkdocs").addHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.chdir(ROOT)
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    logging.getLogger("mkdocs").removeHandler(handler)
    assert warnings == []
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    found = {}
    for page in sorted(site.rglob("*.html")):
        found[page] = Links()
        found[page].feed(page.read_text(encoding="utf-8"))
    return found


def inside(page: Path, targets: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Each target that is no address elsewhere, with the file and the place that it names."""
    for target in targets:
        if not urlparse(target).scheme:
            file, place = urldefrag(target)
            yield target, (page.parent / unquote(file)).resolve() if file else page, place


def test_every_link_leads_to_a_page_and_a_place_of_it(site: Path, pages: dict[Path, Links]) -> None:
    wrong = [
        f"{page.relative_to(site)}: {target}"
        for page, links in pages.items()
        if page.name != "404.html"
        for target, file, place in inside(page, links.targets)
        if not file.exists() or (place and file in pages and place not in pages[file].places)
    ]

    assert len(pages) > 40
    assert sum(len(links.targets) for links in pages.values()) > 2000
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    for page, links in pages.items():
        if page.name != "404.html":  # its addresses begin at a server's root
            assert [target for target in links.loaded if urlparse(target).scheme] == []
            assert [target for target, file, _ in inside(page, links.loaded) if not file.is_file()] == []
    assert not re.findall(r"url\([\"']?https?:", "".join(f.read_text() for f in site.rglob("*.css")))


def test_every_setting_and_every_job_has_its_line(site: Path) -> None:
    settings = (site / "reference/settings.html").read_text(encoding="utf-8")
    jobs = (site / "reference/jobs.html").read_text(encoding="utf-8")
    base = yaml.safe_load((conf_dir() / "base.yml").read_text(encoding="utf-8"))

    named = [f"{section}.{key}" for section, keys in base.items() if isinstance(keys, dict) for key in keys]
    free = ("models.", "presets.")
    assert len(named) > 100
    assert [key for key in named if not key.startswith(free) and f">{key}<" not in settings] == []
    assert [file.stem for file in (ROOT / "jobs").glob("*.py") if f'id="{file.stem}"' not in jobs] == []
    assert "below &lt;run.dir&gt;/" in jobs  # and not a tag of HTML that nobody sees


def test_pictures_are_those_that_the_library_draws() -> None:
    """Marks and words are the same; places may differ by what another processor rounds."""
    number = re.compile(r"-?\d+\.\d+")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs/tools"))
        import pictures

    for name, draw in pictures.PICTURES.items():
        drawn, kept = draw(), (ROOT / f"docs/pictures/{name}.svg").read_text(encoding="utf-8")
        assert number.sub("N", drawn) == number.sub("N", kept), name
        places = zip(number.findall(drawn), number.findall(kept), strict=True)
        assert max(abs(float(one) - float(other)) for one, other in places) < 2.0, name


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
@pytest.mark.parametrize(
    ("width", "flags", "dark"), [(1280, (), False), (390, (DARK,), True)], ids=["wide", "dark phone"]
)
def test_pages_fit_their_screen(
    site: Path, pages: dict[Path, Links], tmp_path: Path, width: int, flags: tuple[str, ...], dark: bool
) -> None:
    """Pages of text, and the widest tables: none is wider than its screen, and every picture is there."""
    written = [page for page in pages if "library" not in page.parts and page.name != "404.html"]
    looked = tmp_path / "look.html"
    names = json.dumps([page.as_uri() for page in written])
    looked.write_text(LOOK.replace("PAGES", names).replace("WIDTH", str(width)), encoding="utf-8")
    dom = subprocess.run(
        [str(CHROMIUM), *FLAGS, *flags, NO_NETWORK, f"--user-data-dir={tmp_path}/profile", "--window-size=1400,1000",
         "--virtual-time-budget=90000", looked.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    found = json.loads(re.search(r'data-told="([^"]*)"', dom)[1].replace("&quot;", '"'))  # type: ignore[index]

    assert len(found) == len(written) > 25
    assert {page: seen["wide"] for page, seen in found.items() if seen["wide"] > 0} == {}
    assert {page: seen["broken"] for page, seen in found.items() if seen["broken"]} == {}
    (paper,) = {seen["paper"] for seen in found.values()}
    assert (max(map(int, re.findall(r"\d+", paper)[:3])) < 80) == dark
