"""Notebooks in Databricks' source format: cells, parameters, outputs, and the page."""

from pathlib import Path

import pandas as pd
import pytest

from eraflow import notebooks
from eraflow.errors import InputError
from eraflow.notebooks import Cell, CellError, cells, run, written
from eraflow.reporting.inline import pictures
from eraflow.reporting.notebook import Output, Shown, overwritten, page

ROOT = Path(__file__).parents[2]
SOURCE = """# Databricks notebook source
# MAGIC %md
# MAGIC # A title
# MAGIC
# MAGIC Some *text*.

# COMMAND ----------

dbutils.widgets.text("days", "5", "How many")
dbutils.widgets.dropdown("mode", "slow", ["slow", "fast"], "How")

# COMMAND ----------

# COMMAND ----------

days = int(dbutils.widgets.get("days"))
print("days", days)
print("mode", dbutils.widgets.get("mode"))
days + 1
"""


def shown(source: str, **given: str) -> list[Shown]:
    return list(run(source, "tour.py", None, given))  # type: ignore[arg-type]  # these cells use no Spark


def test_cells_are_parted_and_empty_ones_left_out() -> None:
    assert cells(SOURCE)[:2] == (
        Cell("markdown", "# A title\n\nSome *text*.", 2),
        Cell("python", 'dbutils.widgets.text("days", "5", "How many")\n'
             'dbutils.widgets.dropdown("mode", "slow", ["slow", "fast"], "How")', 9),
    )  # fmt: skip
    assert len(cells(SOURCE)) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("print(1)\n", "its first line is not '# Databricks notebook source'"),
        ("", "its first line is not"),
        ("# Databricks notebook source\n\n# MAGIC %sql\n# MAGIC select 1\n", "line 3: %sql is no language of ours"),
    ],
)
def test_another_format_is_refused(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cells(source)


def test_a_cell_puts_out_what_it_prints_and_its_last_value() -> None:
    assert shown(SOURCE)[-1].outputs == (Output(text="days 5\nmode slow\n"), Output(html="<pre>6</pre>"))


def test_parameters_take_what_is_given() -> None:
    assert shown(SOURCE, days="7", mode="fast")[-1].outputs[0] == Output(text="days 7\nmode fast\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dyas": "7"}, "it has no parameter 'dyas'; it has days, mode"),
    ],
)
def test_an_unknown_parameter_is_refused_before_any_cell(given: dict[str, str], message: str) -> None:
    ran = run(SOURCE, "tour.py", None, given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        next(ran)


def test_a_value_that_is_no_choice_is_named() -> None:
    assert "choose one of slow, fast" in str(shown(SOURCE, mode="medium")[-1].error)


def test_frames_and_html_are_shown_as_html() -> None:
    source = (
        SOURCE + "\n# COMMAND ----------\n\nimport pandas as pd\ndisplayHTML('<b>bold</b>')\npd.DataFrame({'a': [1]})\n"
    )
    html, frame = shown(source)[-1].outputs
    assert html == Output(html="<b>bold</b>")
    assert frame == Output(html=pd.DataFrame({"a": [1]})._repr_html_())


def test_after_a_cell_that_fails_come_no_others_and_the_trace_names_its_line() -> None:
    source = SOURCE + "\n# COMMAND ----------\n\nprint('before')\n1 / 0\n\n# COMMAND ----------\n\nprint('never')\n"
    last = shown(source)[-1]
    line = source.splitlines().index("1 / 0") + 1
    assert last.outputs == (Output(text="before\n"),)
    assert f'File "tour.py", line {line}' in str(last.error)
    assert "notebooks.py" not in str(last.error)
    assert len(shown(source)) == 4


def test_a_page_that_ends_in_an_error_is_written_and_the_error_raised(tmp_path: Path) -> None:
    (tmp_path / "tour.py").write_text(SOURCE + "\n# COMMAND ----------\n\n1 / 0\n")
    with pytest.raises(CellError, match="ZeroDivisionError: division by zero"):
        written(tmp_path / "tour.py", tmp_path / "out/tour.html", None, {})  # type: ignore[arg-type]
    assert "ZeroDivisionError" in (tmp_path / "out/tour.html").read_text()


def test_the_page_holds_text_code_and_outputs_and_runs_nothing_of_them() -> None:
    html = page("tour", [Shown("markdown", "# A <title>"), Shown("python", "x < 1", (Output(text="<script>"),))])
    assert "<h1>A &lt;title&gt;</h1>" in html
    assert "<pre>&lt;script&gt;</pre>" in html
    assert '<span class="o">&lt;</span>' in html
    assert "http" not in html.replace("http-equiv", "")


def test_what_a_carriage_return_has_written_over_is_gone() -> None:
    assert overwritten("one  \rtwo  \rtable prices\nthree\rfour\r") == "table prices\nfour"


def test_pictures_are_those_of_the_page_panels_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("eras-1", "eras-2", "eras-10", "eras-more", "heat"):
        (folder / f"{name}.svg").write_text("<svg/>")
    found = pictures(tmp_path, "heat", "eras")
    assert [name for name, _ in found.drawings] == ["heat", "eras-1", "eras-2", "eras-10"]
    assert found._repr_html_().count("data:image/svg+xml;base64,PHN2Zy8+") == 4
    with pytest.raises(InputError, match="no figure folds; there are eras-1, eras-10, eras-2, eras-more, heat"):
        pictures(tmp_path, "folds")


@pytest.mark.parametrize("words", [["notebooks/nowhere.py"], ["notebooks/quick_tour.py", "--set", "days"]])
def test_bad_words_end_with_2_and_a_sentence(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(notebooks, "session", lambda: None)
    assert notebooks.main(words) == 2
    assert capsys.readouterr().err.startswith("eraflow: ")


def test_notebooks_of_the_project_hold_no_logic() -> None:
    for file in (ROOT / "notebooks").glob("*.py"):
        text = file.read_text()
        assert not [line for line in text.splitlines() if line.startswith(("def ", "class ", "for ", "while ", "if "))]
        assert {cell.kind for cell in cells(text)} == {"markdown", "python"}
