# SPDX-License-Identifier: GPL-2.0-or-later
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from lwganet_qgis.lwganet_qgis.runner_client import JobCancelled, RunnerClient
from lwganet_qgis.lwganet_qgis.runner_process import RunnerEnded, RunnerProcess, clean_environment
from lwganet_qgis.model_runner.contract.errors import RunnerError
from lwganet_qgis.model_runner.contract.folders import PLUGIN_ROOT, plugin_version
from lwganet_qgis.model_runner.contract.messages import Progress
from lwganet_qgis.model_runner.contract.task_requests import RemoveModelRequest

FAKE = Path(__file__).with_name("fake_runner.py")
REQUEST = RemoveModelRequest("some-model")


class Clients:
    """Makes clients of a faulty runner, and ends them."""

    def __init__(self, folder):
        self._folder = folder
        self._made = []
        self.processes = []
        self.listeners = []

    def __call__(self, *faults, **limits):
        variables = {
            **clean_environment(os.environ),
            "FAKE_RUNNER": ",".join(faults),
            "FAKE_RUNNER_MARK": str(self._folder / "died"),
        }

        def launch():
            runner = RunnerProcess([sys.executable, str(FAKE)], PLUGIN_ROOT, variables)
            self.processes.append(runner._process)
            self.listeners.append(runner._listener)
            return runner

        self._made.append(RunnerClient(launch, plugin_version(), **limits))
        return self._made[-1]

    def end(self):
        for client in self._made:
            client.shut_down()


@pytest.fixture
def client_of(tmp_path):
    clients = Clients(tmp_path)
    yield clients
    clients.end()


def run(client, told=None, is_cancelled=lambda: False):
    return client.run("remove-model", REQUEST, (told if told is not None else []).append, is_cancelled)


def cancel_after_first_message(client):
    """Run a job, cancel it when it has begun; the seconds from the cancel to the end."""
    told = []
    asked = []

    def is_cancelled():
        if told and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(JobCancelled):
        run(client, told, is_cancelled)
    return time.monotonic() - asked[0]


def test_a_job_tells_its_progress_and_its_end(client_of):
    told = []
    assert run(client_of(), told).job == "1"
    assert [message.done for message in told if isinstance(message, Progress)] == list(range(20))


def test_the_next_job_finds_the_same_runner(client_of):
    client = client_of()
    run(client)
    run(client)
    assert len(client_of.processes) == 1


def test_a_renewed_runner_finishes_its_job_and_serves_no_other(client_of):
    client, told = client_of(), []

    def renew_at_once(message):
        told.append(message)
        client.renew()

    client.run("remove-model", REQUEST, renew_at_once, lambda: False)
    assert [message.done for message in told if isinstance(message, Progress)] == list(range(20))
    run(client)
    run(client)
    assert len(client_of.processes) == 2


def test_a_renewed_runner_without_work_ends(client_of):
    client = client_of()
    run(client)
    client.renew()
    assert client_of.processes[0].poll() is not None


def test_a_runner_at_work_is_not_taken_from_its_job(client_of):
    client, told = client_of(), []

    def take_away(message):
        told.append(message)
        with pytest.raises(RunnerError, match=r"still running in this QGIS; wait for it or cancel it"):
            client.without_runner().__enter__()

    client.run("remove-model", REQUEST, take_away, lambda: False)
    assert [message.done for message in told if isinstance(message, Progress)] == list(range(20))


def test_no_job_begins_while_there_shall_be_no_runner(client_of):
    client = client_of()
    run(client)
    with client.without_runner():
        assert client_of.processes[0].poll() is not None
        with pytest.raises(JobCancelled):
            run(client, is_cancelled=lambda: True)
    run(client)
    assert len(client_of.processes) == 2


def test_a_runner_that_died_between_jobs_is_replaced(client_of):
    client = client_of()
    run(client)
    client_of.processes[0].kill()
    client_of.processes[0].wait()
    run(client)
    assert len(client_of.processes) == 2


def test_a_runner_that_ends_in_the_moment_work_comes_is_replaced(client_of, monkeypatch):
    client = client_of()
    run(client)
    client_of.processes[0].kill()
    client_of.processes[0].wait()
    monkeypatch.setattr(client._runner, "is_alive", lambda: True)
    run(client)
    assert len(client_of.processes) == 2


def test_a_death_in_the_middle_of_a_job_is_told_with_the_last_words(client_of):
    with pytest.raises(RunnerEnded, match=r"ended with status 7\. Its last words: OSError: the disk has caught fire"):
        run(client_of("die"))


def test_after_a_kill_the_next_job_has_a_new_runner(client_of):
    client = client_of("die-once")
    with pytest.raises(RunnerEnded, match="killed by the system, most often because memory ran out"):
        run(client)
    run(client)


def test_a_cancelled_job_ends_and_the_runner_stays(client_of):
    cancel_after_first_message(client_of("slow"))
    assert client_of.processes[0].poll() is None


def test_a_runner_that_does_not_hear_a_cancel_is_killed_within_two_seconds(client_of):
    assert cancel_after_first_message(client_of("hang")) < 2.0
    assert client_of.processes[0].poll() == -signal.SIGKILL


def test_a_killed_runner_takes_its_children_along(client_of):
    cancel_after_first_message(client_of("hang", "child"))
    # The child had inherited standard error, which ends when nobody holds it any more.
    client_of.listeners[0].join(5)
    assert not client_of.listeners[0].is_alive()


def test_a_flood_on_standard_error_blocks_nothing(client_of):
    run(client_of("chatter"))


def test_a_line_that_is_no_message_ends_the_runner(client_of):
    client = client_of("garbage")
    with pytest.raises(RunnerEnded, match=r"wrote what is no message and was ended.*Welcome to ACME"):
        run(client)
    assert client._runner is None


def test_a_runner_of_another_version_is_refused(client_of):
    with pytest.raises(RunnerError, match=r"The model runner is of version 0\.0\.1 .* restart QGIS"):
        run(client_of("old"))


def test_a_runner_that_says_nothing_is_given_up(client_of):
    with pytest.raises(RunnerError, match=r"did not answer within 0\.5 s"):
        run(client_of("mute", start_seconds=0.5))


def test_a_runner_that_cannot_start_tells_why(client_of):
    with pytest.raises(RunnerEnded, match=r"ModuleNotFoundError: No module named 'torch' .* repair its environment"):
        run(client_of("broken"))


def test_a_program_that_does_not_exist_is_named():
    with pytest.raises(RunnerEnded, match="cannot be started with /no/such/python"):
        RunnerProcess(["/no/such/python"], PLUGIN_ROOT, {})


def test_a_refusal_is_shown_as_it_is(client_of):
    with pytest.raises(RunnerError, match=r"^The raster is made of cheese; use another\.$"):
        run(client_of("refuse"))


def test_an_internal_fault_is_one_line(client_of):
    with pytest.raises(RunnerError, match="The model runner failed: ZeroDivisionError: division by zero"):
        run(client_of("crash"))


def test_a_job_that_waits_for_another_says_so_and_can_be_cancelled(client_of):
    client, told_of_first, told = client_of(), [], []
    with client._turn_of_our_own(told_of_first.append, lambda: False), pytest.raises(JobCancelled):
        run(client, told, is_cancelled=lambda: True)
    assert told_of_first == []
    assert [message.text for message in told] == [
        "The model runner is at work for another algorithm; this one begins when that has ended."
    ]


def test_the_runner_ends_when_its_parent_is_gone(client_of):
    client = client_of()
    run(client)
    client_of.processes[0].stdin.close()
    assert client_of.processes[0].wait(5) == 0


def test_the_runner_inherits_nothing_of_qgis():
    kept = {"HOME": "/home/a", "HTTPS_PROXY": "http://proxy", "LWGANET_HOME": "/data", "CUDA_VISIBLE_DEVICES": "0"}
    foreign = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "PROJ_LIB", "LD_LIBRARY_PATH", "QT_PLUGIN_PATH", "VIRTUAL_ENV")
    more = ("QGIS_PREFIX_PATH", "OSGEO4W_ROOT", "GISBASE", "CPL_DEBUG", "DYLD_LIBRARY_PATH", "__PYVENV_LAUNCHER__")
    assert clean_environment({**kept, **dict.fromkeys((*foreign, *more), "x")}) == kept
