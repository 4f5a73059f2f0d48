"""What SECURITY.md says is shown by tests that exist."""

import re

import pytest
from support.repository import ROOT, read

TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = re.findall(r"^\| (\d[\d., -]*) \| (.*?) \| (.*?) \|$", read("SECURITY.md"), re.MULTILINE)


@pytest.mark.parametrize(("requirement", "proof"), [(row[0], row[2]) for row in ROWS])
def test_a_requirement_names_tests_that_exist(requirement, proof):
    named = TEST.findall(proof)

    assert named, requirement
    for path, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), (path, test)


def test_every_area_of_the_api_has_its_rows():
    chapters = {number.partition(".")[0] for row in ROWS for number in re.split(r"[, -]+", row[0])}

    assert {"1", "2", "4", "6", "7", "8", "11", "12", "13", "14", "15", "16"} <= chapters
