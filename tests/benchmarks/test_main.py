import json
from dataclasses import dataclass

import pytest
from benchmarks.__main__ import main, studied
from benchmarks.books import BooksDoNotBalance
from benchmarks.run import Numbers, Run, Scale
from benchmarks.servers import BROKER_PROCESS, Place, Servers, listener

TINY = Scale(
    rounds=1,
    messages=50,
    latency_messages=210,
    backlog_rows=0,
    inbox_rows=100,
    memory_messages=50,
    waiting_seconds=0.2,
    request_seconds=0.2,
)


@dataclass(frozen=True)
class Named:
    name: str


@pytest.fixture
def run(rabbitmq, postgres, tmp_path) -> Run:
    servers = Servers(rabbitmq, postgres, listener(rabbitmq.url(), BROKER_PROCESS))
    return Run(TINY, servers, tmp_path, ["Measured for a test."])


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "contender"),
    [
        pytest.param("relay", "ours, outbox", marks=pytest.mark.long),
        ("consume", "ours, inbox and a row, batch task"),
        pytest.param("latency", "ours, from commit to task", marks=pytest.mark.long),
        pytest.param("http", "ours, outbox", marks=pytest.mark.long),
        pytest.param("http", "ours, a verification code, outbox", marks=pytest.mark.long),
        pytest.param("inbox", "ours, beside 100 old rows", marks=pytest.mark.long),
        pytest.param("memory", "ours, prefetch 500", marks=pytest.mark.long),
    ],
)
async def test_a_study_finds_numbers_for_ours_and_its_books_balance(run, study, contender):
    run.only = (contender,)

    await studied(run, [study])

    assert run.failures == []
    (numbers,) = run.results[study][contender]
    assert all(value is None or value >= 0 for name, value in numbers.items() if name != "growth_megabytes")
    assert json.loads((run.folder / "results.json").read_text())["results"] == run.results


@pytest.mark.broker
@pytest.mark.long
async def test_backlogs_and_crews_are_measured_too(run):
    await studied(run, ["backlog"])
    run.only = ("1 worker",)
    await studied(run, ["scale-out"])

    assert run.failures == []
    assert list(run.results["backlog"]) == ["5,500 rows"]
    assert list(run.results["scale-out"]) == ["1 worker"]


@pytest.mark.broker
async def test_what_fails_is_remembered_and_the_others_are_measured_all_the_same(run):
    async def measurement(_run: Run, named: Named, _place: Place) -> Numbers:
        if named.name == "lossy":
            raise BooksDoNotBalance("left in the queue: 1, and not 0")
        return {"per_second": 9.0}

    await run.rounds("consume", [Named("lossy"), Named("careful")], measurement)

    assert run.failures == ["consume, lossy: left in the queue: 1, and not 0"]
    assert run.results == {"consume": {"careful": [{"round": 0, "per_second": 9.0}]}}


@pytest.mark.parametrize(
    "arguments", [["--only", "speed"], ["--rounds", "0"], ["--messages", "many"], ["--inbox-rows", "-1"], ["please"]]
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_rendering_without_results_says_where_there_are_none(tmp_path, capsys):
    assert main(["--render", "--out", str(tmp_path)]) == 1
    assert f"there is no results.json in {tmp_path}" in capsys.readouterr().err


def test_earlier_results_are_rendered_without_measuring(tmp_path):
    (tmp_path / "results.json").write_text('{"preface": ["Measured."], "results": {}}')

    assert main(["--render", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "benchmarks.md").read_text().endswith("\nMeasured.\n")
