"""The catalogue of faults speaks of every one of them, and names tests that exist."""

import re
from functools import cache

import pytest
from support.repository import ROOT, read

ROW = re.compile(r"^\| (F\d\d) \|(.*?)\|(.*?)\|(.*?)\|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
REASON = "Not tested: "

ROWS = {entry: (fault, then, proof) for entry, fault, then, proof in ROW.findall(read("docs/faults.md"))}


@cache
def names_in(path: str) -> frozenset[str]:
    file = ROOT / path
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE) if file.exists() else [])


def test_every_fault_from_f01_to_f93_has_one_row():
    assert re.findall(r"^\| (F\d\d) ", read("docs/faults.md"), re.MULTILINE) == [f"F{n:02}" for n in range(1, 94)]
    assert len(ROWS) == 93


@pytest.mark.parametrize("entry", ROWS)
def test_a_fault_names_tests_that_exist_or_says_why_there_is_none(entry):
    _, then, proof = ROWS[entry]
    named = TEST.findall(proof)

    assert not [test for path, test in named if test not in names_in(path)]
    assert (named and then.strip()) or len(proof.partition(REASON)[2]) > len("no time")
