from producer_service.sweep import SWEEP_SECONDS, Sweep


def test_a_full_claim_goes_on_where_it_ended():
    sweep = Sweep()

    goes_on = sweep.goes_on(last=500, full=True, found=True, clock=10.0)

    assert goes_on
    assert sweep.after == 500


def test_a_sweep_that_found_anything_is_followed_by_another_from_the_beginning():
    sweep = Sweep()
    sweep.goes_on(last=500, full=True, found=True, clock=10.0)

    goes_on = sweep.goes_on(last=520, full=False, found=False, clock=10.1)

    assert goes_on
    assert sweep.after == 0


def test_a_sweep_of_one_claim_has_seen_everything():
    assert not Sweep().goes_on(last=20, full=False, found=True, clock=10.0)


def test_a_sweep_that_found_nothing_is_followed_by_a_rest():
    sweep = Sweep()
    sweep.goes_on(last=500, full=True, found=False, clock=10.0)

    assert not sweep.goes_on(last=520, full=False, found=False, clock=10.1)


def test_a_long_sweep_begins_again_so_that_late_rows_are_not_forgotten():
    sweep = Sweep()
    sweep.goes_on(last=500, full=True, found=True, clock=10.0)

    goes_on = sweep.goes_on(last=1000, full=True, found=True, clock=10.0 + SWEEP_SECONDS)

    assert goes_on
    assert sweep.after == 0


def test_what_one_sweep_found_does_not_count_for_the_next():
    sweep = Sweep()
    sweep.goes_on(last=5, full=False, found=True, clock=10.0)

    assert not sweep.goes_on(last=0, full=False, found=False, clock=10.1)
