from benchmarks.interleaving import interleaved


def test_every_contender_runs_once_a_round_and_each_round_begins_with_the_next_one():
    order = list(interleaved("ABC", 4))

    assert order == [
        *((0, name) for name in "ABC"),
        *((1, name) for name in "BCA"),
        *((2, name) for name in "CAB"),
        *((3, name) for name in "ABC"),
    ]


def test_without_contenders_nothing_is_measured():
    assert list(interleaved("", 3)) == []
