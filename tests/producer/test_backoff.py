from producer_service.backoff import Backoff

BACKOFF = Backoff(first=1.0, most=60.0)


def test_the_longest_wait_doubles_up_to_its_cap():
    ceilings = [BACKOFF.ceiling(failures) for failures in (1, 2, 3, 6, 7, 100)]

    assert ceilings == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]


def test_the_wait_is_anywhere_below_the_longest():
    assert [BACKOFF.delay(3, draw) for draw in (0.0, 0.5, 1.0)] == [0.0, 2.0, 4.0]


def test_the_wait_is_never_shorter_than_the_least():
    backoff = Backoff(first=1.0, most=30.0, least=0.5)

    assert [backoff.delay(1, draw) for draw in (0.0, 1.0)] == [0.5, 1.0]


def test_any_number_of_failures_is_bearable():
    assert BACKOFF.ceiling(10**9) == 60.0
