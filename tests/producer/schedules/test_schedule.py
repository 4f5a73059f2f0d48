import pytest
from support.schedules import a_schedule


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "Nightly run"}, "name: 'Nightly run'"),
        ({"name": ""}, "name: ''"),
        ({"cron": "61 * * * *"}, "cron: '61 .*: Bad minute"),
        ({"cron": "* * *"}, "cron: .*Wrong number of fields"),
        ({"cron": "* * */20 * 1L"}, "never comes"),
        ({"time_zone": "Mars/Olympus"}, "time_zone: 'Mars/Olympus'"),
        ({"time_zone": "../etc/passwd"}, "time_zone: '../etc/passwd'"),
        ({"time_zone": ""}, "time_zone: ''"),
        ({"most": 0}, "most: 0"),
        ({"most": 1001}, "most: 1001"),
    ],
)
def test_what_could_never_work_is_refused_where_it_is_declared(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        a_schedule(**change)


def test_its_times_are_explained_in_english():
    assert a_schedule(cron="0 7 * * *").explained == "At 07:00 every day"
