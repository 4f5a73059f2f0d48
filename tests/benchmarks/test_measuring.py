import asyncio
import sys

import psutil
import pytest
from benchmarks.contenders.contract import Errand, as_environment
from benchmarks.measuring import ContenderFailed, Meter, cpu_of, measure, peak_megabytes, start

NOBODY = Meter(broker=None, database=None)


def a_script(folder, text: str) -> tuple[str, ...]:
    (folder / "script.py").write_text(text)
    return ("script",)


@pytest.fixture
def here(tmp_path):
    """The folder in which `python -m` finds the script, because a child runs in it."""
    return tmp_path


async def test_the_time_is_what_lies_between_the_two_marks_of_the_contender_itself(here):
    a_script(
        here,
        """if True:
        print('a banner')
        print('{"mark": "first", "clock": 10.0}', flush=True)
        print('{"mark": "last", "clock": 12.5, "note": 1}', flush=True)
        import time; time.sleep(60)
    """,
    )

    measured = await measure("script", Errand("", "", 5), name="script", meter=NOBODY, folder=here)

    assert measured.seconds == 2.5
    assert measured.as_numbers()["per_second"] == 2.0
    assert measured.as_numbers()["broker_cpu"] is None


@pytest.mark.slow
async def test_only_the_work_between_the_marks_is_paid_for(here):
    a_script(
        here,
        """if True:
        import sys, time
        def burn(seconds):
            until = time.process_time() + seconds
            while time.process_time() < until: pass
        burn(0.5)
        print('{"mark": "first", "clock": 0.0}', flush=True)
        time.sleep(0.3)
        burn(0.2)
        print('{"mark": "last", "clock": 1.0}', flush=True)
        time.sleep(60)
    """,
    )

    measured = await measure("script", Errand("", "", 1), name="script", meter=NOBODY, folder=here)

    assert 0.1 <= measured.client_cpu < 0.5


async def test_a_contender_that_ends_without_a_mark_has_failed_and_its_last_words_are_told(here):
    child = await start(a_script(here, "raise SystemExit('no such queue')"), {}, name="script", folder=here)

    with pytest.raises(ContenderFailed, match="no such queue"):
        await child.mark("first")

    await child.leave()


async def test_a_contender_that_stays_silent_has_failed(here):
    child = await start(a_script(here, "import time; time.sleep(60)"), {}, name="script", folder=here)

    with pytest.raises(ContenderFailed, match=r"no mark 'first' within 0\.05 s"):
        await child.mark("first", within=0.05)

    await child.leave()
    assert child.process.returncode is not None


async def test_a_contender_reads_the_errand_that_it_was_given(here):
    errand = Errand("amqp://broker", "postgresql://database", 7, "queue", {"loop": "uvloop"})
    script = a_script(
        here,
        """if True:
        from benchmarks.contenders.contract import mark, read_errand
        errand = read_errand()
        mark("last", count=errand.count, loop=errand.options["loop"], urls=[errand.broker_url, errand.database_url])
    """,
    )

    child = await start(script, as_environment(errand), name="script", folder=here)
    found = await child.mark("last")
    await child.leave()

    assert (found["count"], found["loop"]) == (7, "uvloop")
    assert found["urls"] == ["amqp://broker", "postgresql://database"]


@pytest.mark.slow
async def test_the_processors_time_of_children_counts_also_after_they_have_ended():
    burning = "import time\nwhile time.process_time() < 0.3: pass"
    parent = (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burning!r}]); print(1); time.sleep(60)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.read(1)

    used = cpu_of(psutil.Process(process.pid))

    process.kill()
    await process.wait()
    assert used is not None
    assert used >= 0.25


def test_nothing_is_known_of_a_process_out_of_sight():
    assert cpu_of(None) is None


def test_the_peak_of_a_process_is_more_than_nothing():
    assert peak_megabytes(psutil.Process()) > 1


async def test_a_contender_that_leaves_before_it_was_asked_to_has_failed(here):
    child = await start(a_script(here, "print('bye', file=__import__('sys').stderr)"), {}, name="script", folder=here)
    await child.process.wait()

    with pytest.raises(ContenderFailed, match=r"ended before it was asked to; it said:\nbye"):
        _ = child.seen

    await child.leave()


async def test_a_contender_ends_with_whoever_started_it(here):
    script = a_script(
        here,
        """if True:
        import time
        from benchmarks.contenders.contract import mark, read_errand
        read_errand()
        mark("ready")
        time.sleep(60)
    """,
    )
    child = await start(script, as_environment(Errand("", "", 1)), name="script", folder=here)
    await child.mark("ready")

    assert child.process.stdin is not None
    child.process.stdin.close()  # As the system does when the process that holds the other end is killed.

    async with asyncio.timeout(10):
        assert await child.process.wait() == 1


@pytest.mark.slow
async def test_a_contender_that_is_asked_to_leave_may_finish_what_it_does(here):
    script = a_script(
        here,
        """if True:
        import signal, sys, time
        from benchmarks.contenders.contract import mark, read_errand
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), sys.exit(7)))
        read_errand()
        mark("ready")
        time.sleep(60)
    """,
    )
    child = await start(script, as_environment(Errand("", "", 1)), name="script", folder=here)
    await child.mark("ready")

    await child.leave()

    assert child.process.returncode == 7
