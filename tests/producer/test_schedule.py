import producer_service.schedule
from producer_service.schedule import declared

SETTINGS = {"operator_mail": "ops@example.org", "time_zone": "Europe/Berlin"}


def test_no_two_schedules_have_one_name():
    names = [schedule.name for schedule in declared(**SETTINGS)]

    assert len(set(names)) == len(names) > 0


def test_the_table_above_shows_what_is_declared():
    page = producer_service.schedule.__doc__
    listed = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]

    assert listed == [schedule.name for schedule in declared(**SETTINGS)]


def test_without_an_address_there_is_nobody_to_write_to():
    assert declared(operator_mail=None, time_zone="UTC") == ()
