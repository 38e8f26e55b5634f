"""numerapi as it is, at the stand-in: what it sends is understood, and its traps are those of the real server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from numerapi import NumerAPI, SignalsAPI, base_api, utils
from tests.rounds import ROWS, frame, write_live

from eraflow.rounds.credentials import STAND_IN
from eraflow.rounds.standin import Fault, StandIn, served
from eraflow.rounds.standin.graphql import QueryError, fields

KEY = (STAND_IN.public_id, STAND_IN.secret_key)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    made = StandIn()
    made.files |= write_live(tmp_path)
    for tournament in ("classic", "signals"):
        made.add_model(tournament, f"my_{tournament}")
        made.add_round(tournament, 9, made.now() - timedelta(days=1, hours=1), made.now() - timedelta(days=1))
        made.add_round(tournament, 10, made.now() - timedelta(minutes=5), made.now() + timedelta(minutes=55))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(utils.time, "sleep", lambda _: None)  # the pauses before numerapi tries again
    with served(made):
        monkeypatch.setattr(base_api, "API_TOURNAMENT_URL", made.address)
        yield made


@pytest.fixture(params=["classic", "signals"])
def api(request: pytest.FixtureRequest, state: StandIn) -> base_api.Api:
    kind = NumerAPI if request.param == "classic" else SignalsAPI
    return kind(*KEY, verbosity="CRITICAL", show_progress_bars=False)


def model(api: base_api.Api) -> str:
    return next(iter(api.get_models().values()))


def kind(api: base_api.Api) -> str:
    return "classic" if api.tournament_id == 8 else "signals"


def test_rounds(api: base_api.Api) -> None:
    assert api.get_current_round() == 10
    assert api.check_round_open()
    (current,) = api.list_rounds(number=0)
    assert current["closeStakingTime"] > datetime.now(UTC)
    paid = {one["displayName"]: one["defaultMultiplier"] for one in current["roundScoreConfigs"] if one["isPayout"]}
    assert paid == (
        {"canon_corr20": 0.75, "canon_mmc20": 2.25}
        if kind(api) == "classic"
        else {"canon_alpha60": 0.3, "canon_mpc60": 0.8}
    )
    assert [one["number"] for one in api.list_rounds(limit=2)] == [10, 9]


def test_models_are_the_accounts_and_of_the_tournament(api: base_api.Api) -> None:
    assert list(api.get_models()) == [f"my_{kind(api)}"]
    with pytest.raises(ValueError, match="You must be authenticated"):
        NumerAPI("other", "key", verbosity="CRITICAL").get_models()


def test_data(api: base_api.Api, state: StandIn) -> None:
    assert "v5.3/live.parquet" in api.list_datasets()
    place = api.download_dataset("v5.3/live.parquet", "here.parquet")
    assert len(pd.read_parquet(place)) == ROWS
    with pytest.raises(ValueError, match="Invalid dataset"):
        api.download_dataset("v9/live.parquet", "there.parquet")


def test_a_submission_from_upload_to_what_is_held(api: base_api.Api, state: StandIn) -> None:
    made = frame(kind(api))
    made.to_csv("mine.csv", index=False)
    first = api.upload_predictions("mine.csv", model_id=model(api))
    second = api.upload_predictions(model_id=model(api), df=made.iloc[::-1])
    assert {one["id"] for one in api.submission_ids(model(api))} == {first, second}
    held = api.download_submission(submission_id=second, dest_path="held.csv")
    assert Path(held).read_text() == made.iloc[::-1].to_csv(index=False)
    assert state.effective(model(api), 10) == made.iloc[::-1].to_csv(index=False).encode()
    assert (
        Path(api.download_submission(model_id=model(api), dest_path="last.csv")).read_text() == Path(held).read_text()
    )


def test_a_submission_after_the_close_is_the_next_rounds(api: base_api.Api, state: StandIn) -> None:
    late = state.now() + timedelta(hours=2)
    state.now = lambda: late
    api.upload_predictions(model_id=model(api), df=frame(kind(api)))
    assert [one["round"]["number"] for one in state.submissions] == [11]


def test_names_of_files_by_round(state: StandIn) -> None:
    api = NumerAPI(*KEY, verbosity="CRITICAL")
    api.upload_predictions("mine.csv", model_id=model(api), df=frame("classic"))
    (found,) = api.get_submission_filenames(round_num=10, model_id=model(api))
    assert found["filename"].startswith("mine-")


def test_scores(api: base_api.Api, state: StandIn) -> None:
    fields_of_scores = (
        "roundId submissionId roundNumber roundResolveTime roundScoreTime roundCloseStakingTime value percentile "
        "displayName version date day resolveDate resolved"
    )
    blank = dict.fromkeys(fields_of_scores.split())
    state.scores += [
        blank | {"modelId": model(api), "roundNumber": number, "value": 0.01, "resolved": number < 10}
        for number in (9, 10)
    ]  # fmt: skip
    assert [one["roundNumber"] for one in api.submission_scores(model(api), resolved=True)] == [9]
    assert len(api.submission_scores(model(api))) == 2


def test_diagnostics_and_hosted_models(state: StandIn, tmp_path: Path) -> None:
    api = NumerAPI(*KEY, verbosity="CRITICAL")
    assert api.upload_diagnostics("d.csv", model_id=model(api), df=frame("classic"))
    assert api.diagnostics(model(api))[0]["status"] == "done"
    (tmp_path / "model.pkl").write_bytes(b"x")
    assert api.model_upload("model.pkl", model_id=model(api), data_version="v5.3", docker_image="Python 3.11")


class TestItsTraps:
    """What is done otherwise by eraflow.rounds.api."""

    def test_a_4xx_is_a_key_error(self, api: base_api.Api, state: StandIn) -> None:
        state.faults.add(Fault("rounds", "status", status=404))
        with pytest.raises(KeyError, match="data"):
            api.check_round_open()

    def test_errors_close_a_round(self, api: base_api.Api, state: StandIn) -> None:
        state.faults.add(Fault("rounds", "errors"))
        assert not api.check_round_open()

    def test_a_put_that_was_refused_still_gives_an_id(self, api: base_api.Api, state: StandIn) -> None:
        state.faults.add(Fault("PUT", "status", status=403))
        assert api.upload_predictions(model_id=model(api), df=frame(kind(api)))
        assert state.effective(model(api), 10) is None

    def test_a_mutation_is_made_again_after_a_5xx(self, api: base_api.Api, state: StandIn) -> None:
        create = "createSubmission" if kind(api) == "classic" else "createSignalsSubmission"
        state.faults.add(Fault(create, "act-then-status", times=2, status=500))
        api.upload_predictions(model_id=model(api), df=frame(kind(api)))
        assert len(state.submissions) == 3


def test_too_many_requests_are_refused(state: StandIn) -> None:
    state.limits["listDatasets"] = 2
    api = NumerAPI(*KEY, verbosity="CRITICAL")
    api.list_datasets()
    api.list_datasets()
    with pytest.raises(KeyError):
        api.list_datasets()


def test_both_spellings_are_one_and_are_answered_as_they_were_asked() -> None:
    query = "query($a: String! $b: Int) { submission_upload_auth(filename: $a model_id: $b) { filename url } }"
    (field,) = fields(query, {"a": "x.csv", "b": 3})
    assert (field.asked, field.name) == ("submission_upload_auth", "submissionUploadAuth")
    assert field.arguments == {"filename": "x.csv", "modelId": 3}
    assert [one.name for one in field.selected] == ["filename", "url"]


@pytest.mark.parametrize("query", ["", "query {", "query { }", "query { rounds( }", "query { rounds(a b) { id } }"])
def test_what_is_no_query_is_told(query: str) -> None:
    with pytest.raises(QueryError):
        fields(query, {})
