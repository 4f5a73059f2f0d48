from benchmarks.studies.backlog import backlogs


def test_a_backlog_grows_by_tens():
    assert [backlog.name for backlog in backlogs(1_000_000)] == ["10,000 rows", "100,000 rows", "1,000,000 rows"]


def test_none_is_smaller_than_what_is_claimed_from_it_or_measured_twice():
    assert [backlog.rows for backlog in backlogs(50_000)] == [5_500, 50_000]
