import pytest
from support.mails import LINK_SECRET

from producer_service.accounts.devices import Devices

DEVICES = Devices(LINK_SECRET)
ANN, BOB = b"a" * 32, b"b" * 32


def test_a_mark_names_the_same_device_every_time_and_each_sign_in_another():
    first, second = DEVICES.mark(ANN), DEVICES.mark(ANN)

    assert DEVICES.recognise(first, ANN) == DEVICES.recognise(first, ANN)
    assert DEVICES.recognise(first, ANN) != DEVICES.recognise(second, ANN)


def test_a_mark_is_for_one_address():
    assert DEVICES.recognise(DEVICES.mark(ANN), BOB) is None


@pytest.mark.parametrize("mark", ["", "nonsense", "a.b.c", "\0", Devices(LINK_SECRET[::-1]).mark(ANN)])
def test_what_we_did_not_sign_names_no_device(mark):
    assert DEVICES.recognise(mark, ANN) is None
