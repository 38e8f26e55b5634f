from pathlib import Path

from eraflow.features import sets

ROOT = Path(__file__).parents[2]


def test_the_readme_lists_the_features_as_the_objects_describe_them():
    described = sets.documentation([*sets.SETS["main"], *sets.EXPOSURES])

    assert described in (ROOT / "README.md").read_text(encoding="utf-8")
