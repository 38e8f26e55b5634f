from pathlib import Path

from eraflow.features import sets

ROOT = Path(__file__).parents[2]


def test_the_readme_lists_the_features_as_the_objects_describe_them():
    described = sets.documentation([*sets.SETS["main"], *sets.EXPOSURES])

    assert described in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_list_of_all_features_is_the_one_of_the_objects():
    assert (ROOT / "docs" / "features.md").read_text(encoding="utf-8") == sets.reference()


def test_the_columns_of_a_set_stand_in_the_order_of_its_families():
    for chosen in sets.SETS.values():
        by_family = [name for names in sets.families(chosen).values() for name in names]
        assert by_family == list(sets.columns(chosen))
        assert len(by_family) == sum(len(feature.outputs()) for feature in chosen)
