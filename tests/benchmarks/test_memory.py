from benchmarks.studies.memory import growth


def test_loading_is_not_growth():
    assert growth([10.0] * 10 + [90.0] * 90)["growth_megabytes"] == 0.0


def test_a_worker_that_keeps_something_of_every_message_grows():
    assert growth([float(sample) for sample in range(100)]) == {
        "early_megabytes": 19.0,
        "late_megabytes": 99.0,
        "growth_megabytes": 80.0,
    }


def test_a_run_too_short_for_tenths_is_compared_all_the_same():
    assert growth([50.0])["growth_megabytes"] == 0.0
