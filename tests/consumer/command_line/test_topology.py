"""The topology commands, as an operator gives them: what they print, and how they end."""

import json

import pytest
from support.commands import run_consumer
from support.rabbit_admin import administering

DEAD = "consumer.mail.dead"
LIMITED = {"queue_type": "quorum", "overflow": "reject-publish"}

pytestmark = pytest.mark.slow


@pytest.fixture
def ended(tmp_path):
    """Run a topology command with the broker's URL and nothing else; return its exit code and the lines it said."""

    def ended(*arguments, **env):
        ended = run_consumer("topology", *arguments, env=env, folder=tmp_path)
        return ended.code, ended.said

    return ended


@pytest.fixture
def admin(rabbitmq):
    with administering(rabbitmq, rabbitmq.new_vhost()) as admin:
        yield admin


@pytest.fixture
def seeing(rabbitmq, admin):
    return {"TIDINGS_BROKER_URL": admin.url, "TIDINGS_MANAGEMENT_URL": rabbitmq.management_url}


@pytest.fixture
def blind(admin):
    return {"TIDINGS_BROKER_URL": admin.url}


def test_a_broker_that_is_away_is_trouble_said_in_one_line(ended):
    code, (line,) = ended("plan", TIDINGS_BROKER_URL="amqp://guest:canary@127.0.0.1:1/")

    assert code == 1
    assert line.startswith("BrokerUnavailable: 127.0.0.1:1: ")
    assert "canary" not in line


def test_without_a_broker_nothing_but_the_broker_is_asked_for(ended):
    assert ended("plan") == (2, ["TIDINGS_BROKER_URL is not set"])


@pytest.mark.broker
def test_the_topology_is_planned_applied_and_verified(ended, seeing):
    code, planned = ended("plan", **seeing)
    refuted, missing = ended("verify", **seeing)
    applied, created = ended("apply", **seeing)
    again = ended("apply", **seeing)
    verified = ended("verify", **seeing)

    assert "queue consumer.mail: existence should be present, is missing; apply creates it" in planned
    assert (code, planned[-1]) == (0, f"{len(missing)} differences")
    assert (refuted, set(missing) <= set(planned)) == (1, True)
    assert (applied, len(created) - 1, created[-1]) == (0, len(missing), "the broker holds what the code needs")
    assert "created queue consumer.mail" in created
    assert again == (0, ["nothing to do", "the broker holds what the code needs"])
    assert verified == (0, ["the broker holds what the code needs"])


@pytest.mark.broker
def test_without_the_management_api_a_verdict_says_how_far_it_goes(ended, blind):
    ended("apply", **blind)

    code, (line,) = ended("verify", **blind)
    planned, lines = ended("plan", **blind)

    assert (code, planned) == (0, 0)
    assert line.startswith("the broker holds what the code needs, as far as AMQP shows it: with TIDINGS_MANAGEMENT_URL")
    assert lines[-1] == "no differences"
    assert any(said.startswith("note: management API: none was named") for said in lines)


@pytest.mark.broker
def test_a_queue_made_otherwise_is_named_with_both_values_and_never_changed(ended, admin, seeing, blind):
    admin.declare_queue(DEAD, **LIMITED, delivery_limit=5)
    difference = f"queue {DEAD}: x-delivery-limit should be 1000000, is 5; it must be replaced"

    for env in (seeing, blind):
        code, said = ended("verify", **env)
        refused, (reason, *steps) = ended("apply", **env)

        assert (code, refused) == (1, 1)
        assert [line for line in said if line.startswith(difference)]
        assert reason == "TopologyError: nothing was created, because"
        assert [line for line in steps if line.startswith(difference)]


@pytest.mark.broker
def test_a_policy_that_drops_messages_fails_verify_with_both_values_and_apply_says_so_too(ended, admin, seeing):
    ended("apply", **seeing)
    admin.set_policy("careless", "^consumer", {"overflow": "drop-head"})

    verified = ended("verify", **seeing)
    code, (first, *rest) = ended("apply", **seeing)

    assert verified[0] == code == 1
    assert first == "nothing to do"
    assert rest == verified[1]
    assert f"queue {DEAD}: overflow should be reject-publish, is drop-head by policy careless" in rest[0] + rest[1]


@pytest.mark.broker
def test_programs_are_told_in_json(ended, admin, seeing):
    ended("apply", **seeing)
    admin.delete_queue(DEAD)

    code, said = ended("verify", "--json", **seeing)
    planned, plan = ended("plan", "--json", **seeing)

    verdict = json.loads("\n".join(said))
    assert (code, planned, verdict["saw_everything"]) == (1, 0, True)
    assert [each["thing"] for each in verdict["differences"]] == [f"queue {DEAD}"]
    assert verdict["differences"] == json.loads("\n".join(plan))["differences"]


@pytest.mark.broker
def test_the_doctor_says_what_is_worth_knowing(ended, admin, seeing):
    admin.needs_a_broker_of_ours()
    ended("apply", **seeing)

    code, said = ended("doctor", **seeing)

    assert code == 0
    assert [line for line in said if line.startswith("user guest: can log in")]
    assert [line for line in said if not line.partition(": ")[2]] == []
