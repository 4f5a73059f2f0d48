import ast
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks.contenders.roster import APIS, CONSUMERS, INGESTIONS, PAIRS, PUBLISHERS
from benchmarks.goals import GOALS
from benchmarks.studies.scale_out import CREWS

HERE = Path(__file__).parent
PEERS = {"faststream", "celery", "kombu", "taskiq", "taskiq_aio_pika", "dramatiq", "pika"}
NAMED = {
    "relay": {each.name for each in PUBLISHERS},
    "consume": {each.name for each in CONSUMERS},
    "latency": {each.name for each in PAIRS},
    "http": {each.name for each in APIS},
    "ingestion": {each.name for each in INGESTIONS},
    "scale-out": {each.name for each in CREWS},
    "memory": {"ours, prefetch 500"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_every_contender_is_a_module_of_its_own_that_is_there():
    modules = [each.module for each in (*CONSUMERS, *PUBLISHERS, *APIS, *INGESTIONS)]
    modules += [module for pair in PAIRS for module in (pair.sender, pair.receiver)]

    assert [module for module in modules if find_spec(module) is None] == []


@pytest.mark.slow
def test_peers_are_imported_only_by_the_contenders_that_are_named_for_them():
    strangers = [path.relative_to(HERE) for path in HERE.rglob("*.py") if imported(path) & PEERS]

    assert strangers
    assert all(path.parent.name == "contenders" for path in strangers)
    assert {path.name.partition("_")[0] for path in strangers} == {"faststream", "celery", "taskiq", "dramatiq"}


def test_measuring_loads_no_peer():
    assert not PEERS & set(sys.modules)


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.what)
def test_a_goal_compares_what_is_measured(goal):
    assert {goal.ours, *goal.peers} <= NAMED[goal.study]


def test_no_two_contenders_of_a_study_have_one_name():
    for several in (CONSUMERS, PUBLISHERS, PAIRS, APIS, INGESTIONS, CREWS):
        assert len({each.name for each in several}) == len(several)
