import pytest
from benchmarks.books import BooksDoNotBalance, declare, execute, fill_queue, prepare_consumer_database
from benchmarks.contenders.message import as_ours
from benchmarks.contenders.roster import ours
from benchmarks.servers import Place
from benchmarks.studies.consume import check

OURS = ours("ours, inbox and a row", "row", writes_rows=True)

REMEMBER = """
    INSERT INTO inbox (task, message_id, body_hash, status, holder) VALUES ('RowTask', '{}', '', 'done', 'worker')
"""
WRITE_EFFECT = "INSERT INTO effects (message_id, user_id) VALUES ('{}', gen_random_uuid())"


@pytest.fixture
async def place(rabbitmq, postgres_url) -> Place:
    place = Place(rabbitmq.new_vhost(), postgres_url, "")
    await declare(place.broker_url)
    await prepare_consumer_database(postgres_url)
    return place


async def remember(place: Place, message_id: str) -> None:
    await execute(place.database_url, REMEMBER.format(message_id))


async def write_effect(place: Place, message_id: str) -> None:
    await execute(place.database_url, WRITE_EFFECT.format(message_id))


@pytest.mark.broker
async def test_the_books_balance_when_every_message_is_gone_and_done_once(place):
    await remember(place, "one")
    await write_effect(place, "one")

    await check(OURS, place, 1, standing=0)


@pytest.mark.broker
async def test_a_message_left_in_the_queue_spoils_the_measurement(place):
    await fill_queue(place.broker_url, 1, as_ours)

    with pytest.raises(BooksDoNotBalance, match="left in the queue: 1, and not 0"):
        await check(OURS, place, 0, standing=0)


@pytest.mark.broker
async def test_a_message_that_was_acked_and_never_done_spoils_it(place):
    with pytest.raises(BooksDoNotBalance, match="rows in its inbox: 0, and not 1"):
        await check(OURS, place, 1, standing=0)


@pytest.mark.broker
async def test_an_effect_that_happened_twice_spoils_it(place):
    await remember(place, "one")
    await write_effect(place, "one")
    await write_effect(place, "one")

    with pytest.raises(BooksDoNotBalance, match="effects: 2, and not 1"):
        await check(OURS, place, 1, standing=0)


@pytest.mark.broker
async def test_old_rows_of_the_inbox_are_not_taken_for_ours(place):
    await remember(place, "an old one")
    await remember(place, "one")
    await write_effect(place, "one")

    await check(OURS, place, 1, standing=1)
