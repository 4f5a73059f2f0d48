from datetime import UTC, datetime, timedelta

import pytest
from producer.ingestion.conftest import an_event

from producer_service.ingestion.placement import AT_ONCE, Placement, placement_of
from shared.contracts import Lane

DAY = timedelta(days=1)


def placed(**attributes):
    return placement_of(attributes, longest=DAY)


def soon(hours=1):
    return datetime.now(UTC) + timedelta(hours=hours)


def test_what_says_nothing_of_it_goes_at_once_in_the_lane_of_its_type():
    assert placed() == AT_ONCE
    assert AT_ONCE.columns() == {"status": "pending", "deliver_at": None}
    assert AT_ONCE.lane is None


def test_what_is_to_wait_is_held_until_its_moment():
    moment = soon()

    placement = placed(deliverat=moment.isoformat(), lane="bulk")

    assert placement == Placement(moment, Lane.BULK)
    assert placement.columns() == {"status": "delayed", "deliver_at": moment}


@pytest.mark.parametrize("moment", ["2020-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_moment_that_is_past_means_at_once(moment):
    assert placed(deliverat=moment) == AT_ONCE


@pytest.mark.parametrize(
    ("attributes", "name", "detail"),
    [
        ({"deliverat": "tomorrow"}, "deliverat", "is no moment; write it as in 2026-11-22T14:30:00+01:00"),
        ({"deliverat": ["2026-11-22T14:30:00Z"]}, "deliverat", "is no moment"),
        ({"deliverat": "2026-11-22T14:30:00"}, "deliverat", "needs a time zone"),
        ({"deliverat": 1_800_000_000}, "deliverat", "write it as in 2026-11-22T14:30:00+01:00"),
        ({"deliverat": "9999-12-31T23:59:59-14:00"}, "deliverat", "further ahead than 1 day"),
        ({"lane": "fast"}, "lane", "must be one of normal, bulk"),
        ({"lane": 1}, "lane", "must be one of normal, bulk"),
        ({"lane": ["bulk"]}, "lane", "must be one of normal, bulk"),
        ({"lane": {"bulk": 1}}, "lane", "must be one of normal, bulk"),
        ({"lane": None}, "lane", "must be one of normal, bulk"),
    ],
)
def test_what_makes_no_sense_is_named_with_what_would(attributes, name, detail):
    (problem,) = placed(**attributes)

    assert problem.location == (name,)
    assert detail in problem.detail


async def test_over_http_a_message_waits_in_its_lane_until_it_is_cancelled(send, shop, rows):
    accepted = await send(an_event(deliverat=soon().isoformat(), lane="bulk"))
    (row,) = await rows()
    cancelled = await shop.delete(accepted.headers["location"])

    assert (accepted.status_code, row.status, row.lane, b"deliverat" in row.payload) == (202, "delayed", 1, False)
    assert (cancelled.status_code, [each.status for each in await rows()]) == (204, ["cancelled"])


async def test_over_http_whoever_sends_mails_by_the_thousand_need_not_know_that_somebody_waits(client, a_key, rows):
    mail = {"type": "mail.send", "data": {"to": "bob@example.org"}}
    headers = {"Authorization": f"Bearer {await a_key(types=['#'])}"}

    answer = await client.post("/v1/events:batch", json=[mail, an_event(), {**mail, "lane": "normal"}], headers=headers)

    assert answer.status_code == 202
    assert [(row.type, row.lane) for row in await rows()] == [
        ("mail.send", Lane.BULK),
        ("user.created", Lane.NORMAL),
        ("mail.send", Lane.NORMAL),
    ]


async def test_over_http_each_of_a_batch_has_a_place_of_its_own(send_batch, rows):
    answer = await send_batch(an_event(id="a-1"), an_event(id="a-2", lane="bulk"), an_event(id="a-3", lane="slow"))

    assert answer.json()["events"][2]["problem"]["errors"][0]["pointer"] == "/2/lane"
    assert [(row.id, row.lane) for row in await rows()] == [("a-1", 0), ("a-2", 1)]
