import pytest

from producer_service.pointers import LONGEST_POINTER, pointer_to


@pytest.mark.parametrize(
    ("location", "pointer"),
    [((), ""), (("data", "email"), "/data/email"), ((3, "data"), "/3/data"), (("a/b~c", ""), "/a~1b~0c/")],
)
def test_a_location_is_written_as_rfc_6901_has_it(location, pointer):
    assert pointer_to(location) == pointer


def test_a_pointer_made_of_somebodys_names_is_no_longer_than_it_must_be():
    assert len(pointer_to(["x" * 10_000])) == LONGEST_POINTER
