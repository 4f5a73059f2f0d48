from dataclasses import replace

from support.entries import AN_ENTRY

from deploy.contracts.markdown import page
from producer_service.catalogue.fields import Field, Rule


def test_the_table_names_every_message_and_who_takes_it():
    text = page([AN_ENTRY])

    assert "| [`order.placed`](#orderplaced) | Somebody ordered. | producer | `consumer.mail` SendReceipt |" in text


def test_a_message_that_nobody_takes_says_so():
    assert "| producer | nobody here |" in page([replace(AN_ENTRY, subscribers=())])


def test_a_section_has_the_fields_with_their_rules_and_an_example():
    text = page([AN_ENTRY])

    assert "## order.placed" in text
    assert "| `size` | string | yes | How big. | at most 9 characters; matches `^a$` |" in text
    assert '"size": "a"' in text


def test_a_section_says_in_which_lane_it_stands_and_under_which_key_it_is_published():
    text = page([AN_ENTRY])

    assert "In the bulk lane, with the routing key `bulk.order.placed`, unless its sender says otherwise." in text


def test_a_bar_in_a_pattern_or_a_meaning_does_not_end_its_cell():
    field = Field("size", "string", required=True, rules=(Rule("matches", "^a|b$"),), meaning="One | or\nthe other.")

    text = page([replace(AN_ENTRY, fields=(field,))])

    assert "| One \\| or the other. | matches `^a\\|b$` |" in text
