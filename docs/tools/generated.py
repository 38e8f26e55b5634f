"""The pages of the site that are made and not written, and links to files that lie outside docs/. Hooks of MkDocs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from settings import Setting, settings

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "lib" / "eraflow"
# Files outside docs/ that are pages of the site, by the name that they have there.
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "benchmarks/RESULTS.md": "results.md"}
# What a reader of the library calls or writes anew, in the order of the data's way.
ROOMS = (
    "config", "sources", "features", "graphs", "spans", "validation", "models", "ensembles", "scoring", "explain",
    "shapley", "monitoring", "rounds", "notebooks", "tables", "retention", "tracking", "session", "errors", "outcome",
)  # fmt: skip
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Gives each room of the library its page below Reference."""
    reference = next(part["Reference"] for part in config.nav if "Reference" in part)
    library = next(part for part in reference if "Library" in part)
    library["Library"] = ["reference/library.md", *({room: f"reference/library/{room}.md"} for room in rooms())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is made."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page, whose links to files outside docs/ lead to their pages."""
    at = Path(page.file.src_uri).parent
    return LINK.sub(lambda link: link[1] + _moved(link[2], at) + link[3], markdown)


def _moved(target: str, at: Path) -> str:
    for file, name in OUTSIDE.items():
        up = "../" * (len(at.parts) + 1)
        if target == up + file:
            return "../" * len(at.parts) + name
    return target


def pages() -> dict[str, str]:
    """Every page that is made, by its name below docs/."""
    made = {"reference/jobs.md": jobs(), "reference/settings.md": settings_page(), "reference/library.md": library()}
    for room in rooms():
        made[f"reference/library/{room}.md"] = room_page(room)
    for file, name in OUTSIDE.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        made[name] = LINK.sub(lambda link: link[1] + _inside(link[2]) + link[3], text)
    return made


def _inside(target: str) -> str:
    """A link of a file at the top of the project as it is from the top of docs/."""
    return OUTSIDE.get(target, target.removeprefix("docs/"))


def jobs() -> str:
    """What each job does and takes, from its file."""
    lines = [
        "# Jobs",
        "",
        "Each job takes `--config FILE` and `--set KEY=VALUE`, both repeatable: later ones win. Without `--config` it "
        "takes `conf/demo.yml`. [Settings](settings.md) lists every key. `spark-submit jobs/NAME.py`, "
        "`python jobs/NAME.py` and `eraflow NAME` start the same job.",
        "",
        "Exit codes: 0 done; 2 bad configuration or input, in one sentence that says what to do; 1 anything else, with "
        "the whole cause in the log file that the message names. [The live round](../rounds.md#exit-codes) has three "
        "more, [monitoring](../monitor.md) two beside these.",
    ]
    for file in sorted((ROOT / "jobs").glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        lines += ["", f"## {file.stem}", "", (ast.get_docstring(tree) or "").replace("<", "&lt;"), ""]
        options = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "Option"]
        if options:
            lines += ["| option | meaning |", "| --- | --- |"]
        for node in sorted(options, key=lambda node: node.lineno):
            flag, _, metavar, meaning, *_ = (ast.literal_eval(part) for part in node.args[:4])
            many = " ..." if any(word.arg == "many" for word in node.keywords) else ""
            lines.append(f"| `{flag}{' ' if metavar else ''}{metavar}{many}` | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def settings_page() -> str:
    """Every setting, section by section, from conf/base.yml and its models."""
    lines = [
        "# Settings",
        "",
        "Every setting with its default, what it takes, and what it means. They stand in `conf/base.yml`; a file of "
        "your own names only what differs (`--config mine.yml`), and `--set KEY=VALUE` wins over both. A key that is "
        "not here is an error, which names the nearest one that is.",
    ]
    top = ""
    for setting in settings():
        section = setting.key.split(".")[0]
        kind = ".".join(setting.key.split(".")[:2]) if section == "kinds" and "." in setting.key else section
        if kind != top:
            top = kind
            title = f"{'###' if '.' in kind else '##'} {kind}"
            lines += ["", title, "", *([_sentence(setting.meaning), ""] if setting.is_section else [])]
            lines += ["| setting | default | takes | meaning |", "| --- | --- | --- | --- |"] if kind != "kinds" else []
            if setting.is_section:
                continue
        lines.append(_row(setting))
    return "\n".join(lines) + "\n"


def _row(setting: Setting) -> str:
    default = f"`{_cell(setting.default)}`" if setting.default else ""
    return f"| `{setting.key}` | {default} | {_cell(setting.takes)} | {_cell(setting.meaning)} |"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _cell(text: str) -> str:
    """Text as a table holds it: bars and what looks like HTML are escaped, words in backticks are left alone."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def rooms() -> list[str]:
    """The rooms that are shown, as far as they are there."""
    return [room for room in ROOMS if (LIBRARY / room).is_dir() or (LIBRARY / f"{room}.py").is_file()]


def modules(room: str) -> Iterator[tuple[str, str]]:
    """The modules of a room that define something public, each with its first line."""
    place = LIBRARY / room
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.ClassDef)
        public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
        if public:
            name = ".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__")
            yield name, (ast.get_docstring(tree) or "").partition("\n")[0]


def library() -> str:
    """The rooms of the library with their modules."""
    lines = [
        "# Library",
        "",
        "What `import eraflow` gives, room by room, from the docstrings. [Architecture](../architecture.md) says which "
        "room may import which. Most users call three things:",
        "",
        "```python",
        "from eraflow import models",
        "from eraflow.config import load",
        "from eraflow.session import session",
        "```",
        "",
    ]
    for room in rooms():
        lines += [f"## [{room}](library/{room}.md)", "", "| module | what it is |", "| --- | --- |"]
        lines += [f"| [`{name}`](library/{room}.md#{name}) | {_cell(first)} |" for name, first in modules(room)]
        lines.append("")
    return "\n".join(lines)


def room_page(room: str) -> str:
    """The public names of a room."""
    return f"# {room}\n\n" + "\n".join(f"::: {name}\n" for name, _ in modules(room))
