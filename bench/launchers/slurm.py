"""Runs as the jobs of a SLURM array, through submitit.

A job that is preempted, or reaches its time limit, goes back into the queue and starts the same request again: what
was trained so far is in the snapshot, what was finished is in the cache. The command that submitted may die or not
even wait; rows are stored by the jobs, and the same command finds its jobs by their tickets and collects them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from bench import isolate, records
from bench.launchers.base import LAUNCHERS, Launcher, anywhere, arrived, lost, needed
from bench.launchers.tickets import Ticket, Tickets
from bench.locks import alone
from bench.sweep import STORED, SUBMITTED, Done, RunRequest, Target, Watch, execute, perform

GONE_S = 30.0  # after a job has left the queue, its result may still be on its way through the file system
LEAVING_S = 300.0  # longer than SLURM waits between its first and its last signal
OF_SLURM = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM}  # sent to every process of a job


@LAUNCHERS.register("slurm")
@dataclass(frozen=True)
class Slurm(Launcher):
    cluster: str = "slurm"  # or local: all jobs at once on this machine, to try things out
    folder: str = "slurm"  # of the jobs' logs and tickets, shared by all nodes
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus_per_run: int = 1
    cpus_per_run: int = 8  # also the threads of a run, where device.threads is null
    mem_gb: float | None = None
    timeout_min: int = 240  # of a job; a run goes on in the next one
    signal_s: int = 90  # before the limit, the job is told to go back into the queue
    requeues: int = 3  # at most so many time limits; a preemption does not count
    at_once: int = 64  # jobs of an array
    array_size: int = 1000  # SLURM's own limit, MaxArraySize - 1
    setup: tuple[str, ...] = ()  # shell lines before the run, such as "module load cuda"
    sbatch: tuple[str, ...] = ()  # more options, such as "gres=gpu:a100:1"
    wait: bool = True  # false submits and returns
    poll_s: float = 2.0

    def launch(self, requests: Sequence[RunRequest], watch: Watch, target: Target = execute) -> Iterator[Done]:
        needed("submitit", "slurm")
        executor = self._executor()
        folder = Path(self.folder).expanduser().absolute()
        tickets = Tickets(folder / "tickets", f"{self.cluster} {self.partition} {self.constraint} {self.sbatch}")
        settled = {request.spec.digest(): anywhere(request, self.cpus_per_run) for request in requests}
        with alone(folder / "submitting.lock"):  # two commands must not submit one run twice
            queued, stored = self._find(list(settled.values()), tickets, folder)
            known = {request.spec.digest() for request in [*queued.values(), *(done.request for done in stored)]}
            missing = [request for digest, request in settled.items() if digest not in known]
            for start in range(0, len(missing), self.array_size):
                some = missing[start : start + self.array_size]
                for request, job in zip(some, executor.map_array(Errand(target), some), strict=True):
                    tickets.write(request, Ticket(job.job_id))
                    queued[job] = request
        asked = {request.spec.digest(): request for request in requests}
        for done in itertools.chain(stored, self._collect(queued, tickets, watch)):
            yield replace(done, request=asked[done.request.spec.digest()])

    def _executor(self) -> Any:
        import submitit

        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster, slurm_max_num_timeout=self.requeues)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"launcher=slurm: {isolate.one_line(error)}") from error
        named = {"partition": self.partition, "account": self.account, "qos": self.qos, "constraint": self.constraint}
        for option in self.sbatch:
            if "=" not in option:
                raise ValueError(f"launcher.sbatch={option!r} is not NAME=VALUE, such as gres=gpu:a100:1")
        executor.update_parameters(
            name="flash-vaed",
            timeout_min=self.timeout_min,
            cpus_per_task=self.cpus_per_run,
            slurm_srun_args=[f"--cpus-per-task={self.cpus_per_run}"],  # srun no longer takes it from the job itself
            slurm_signal_delay_s=self.signal_s,
            slurm_array_parallelism=self.at_once,
            slurm_setup=list(self.setup),
            slurm_additional_parameters=dict(option.split("=", 1) for option in self.sbatch),
            **({"gpus_per_node": self.gpus_per_run} if self.gpus_per_run else {}),
            **({} if self.mem_gb is None else {"mem_gb": self.mem_gb}),
            **{f"slurm_{name}": value for name, value in named.items() if value is not None},
        )
        return executor

    def _find(
        self, requests: Sequence[RunRequest], tickets: Tickets, folder: Path
    ) -> tuple[dict[Any, RunRequest], list[Done]]:
        """Requests whose jobs are in the queue or wait to be collected, by job; and those stored already."""
        jobs: dict[Any, RunRequest] = {}
        stored = []
        for request in requests:
            ticket = tickets.of(request)
            if ticket is None:
                continue
            if ticket.run_id is None:
                jobs[self._job(folder, ticket.job_id)] = request
            elif ticket.run_id and not request.again and records.is_stored(request.results, ticket.run_id):
                stored.append(Done(request, ticket.run_id, STORED, None, 0.0, ""))
        alive = self._states(list(jobs))
        return {job: of for job, of in jobs.items() if job in alive or job.paths.result_pickle.exists()}, stored

    def _collect(self, queued: dict[Any, RunRequest], tickets: Tickets, watch: Watch) -> Iterator[Done]:
        """Ends of jobs as they come; with wait=false those that are there, and `SUBMITTED` for the others."""
        seen_s = dict.fromkeys(queued, time.monotonic())  # when a job was last in the queue
        while queued:
            states, now_s = self._states(list(queued)), time.monotonic()
            seen_s |= dict.fromkeys(states, now_s)
            for job, request in list(queued.items()):
                if job.paths.result_pickle.exists() or now_s - seen_s[job] >= GONE_S:
                    done = _end(job, request)
                    tickets.write(request, Ticket(job.job_id, done.run_id))
                    del queued[job]
                    yield done
            if not self.wait and queued.keys() <= states.keys():
                yield from (Done(request, "", SUBMITTED, None, 0.0, "") for request in queued.values())
                return
            for job in queued.keys() & states.keys():
                watch(queued[job], {"step": f"job {job.job_id} {states[job].lower()}"})
            time.sleep(self.poll_s if queued else 0)

    def _job(self, folder: Path, job_id: str) -> Any:
        import submitit

        kinds = {"local": submitit.LocalJob, "slurm": submitit.SlurmJob}
        return kinds[self.cluster](folder, job_id)

    def _states(self, jobs: Sequence[Any]) -> dict[Any, str]:
        """The jobs that wait or run, with their states; all of them where the queue cannot be asked now.

        `squeue` is asked itself: submitit asks the accounting database, which a small cluster does not have.
        """
        if self.cluster == "local":
            return {job: "RUNNING" for job in jobs if job.state == "RUNNING" or _lives(int(job.job_id))}
        try:
            listed = subprocess.run(
                ["squeue", "--me", "--noheader", "--array", "--format=%i %T"],
                capture_output=True, text=True, timeout=60, check=True,
            ).stdout  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return dict.fromkeys(jobs, "unknown")
        states = dict(line.split(maxsplit=1) for line in listed.splitlines() if " " in line)
        return {job: states[job.job_id] for job in jobs if job.job_id in states}


class Errand:
    """What a job does: one request. `checkpoint` is what submitit calls when the job has to leave its machine."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def __call__(self, request: RunRequest) -> Done:
        # The job itself answers SLURM's signals; the run's process must live until the job ends it.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, OF_SLURM)
        isolate.start_server()
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        return perform(request, _Log(), self.target, _Leaving().wait_if_killed)

    def checkpoint(self, request: RunRequest) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, request)


class _Leaving:
    """Whether SLURM has begun to end this job. It kills one process after the other: a run that died before its job
    has not failed, and nothing is stored for it.
    """

    def __init__(self) -> None:
        self._told, self._before = False, signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._tell)

    def wait_if_killed(self, outcome: isolate.Outcome) -> None:
        if self._told and outcome.status == "crashed":
            time.sleep(LEAVING_S)
            sys.exit("this job was told to end, and its run was killed")

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        if callable(self._before):
            self._before(number, frame)


class _Log:
    """Writes a run's progress into its job's log: every new step, and where a training stands every ten seconds."""

    def __init__(self) -> None:
        self._step, self._at_s = "", 0.0

    def __call__(self, request: RunRequest, message: isolate.Message) -> None:
        step, now_s = str(message["step"]), time.monotonic()
        if step == self._step and now_s - self._at_s < 10:
            return
        self._step, self._at_s = step, now_s
        count = f" {message['done']}/{message['total']}" if "done" in message else ""
        print(f"{request.label}: {step}{count}", flush=True)


def _end(job: Any, request: RunRequest) -> Done:
    """How a job that is over has ended, as it left it behind."""
    import submitit

    log = f"(log: {job.paths.stderr})"
    if not job.paths.result_pickle.exists():
        return lost(request, f"job {job.job_id} left the queue without a result  {log}")
    try:
        done: Done = job.result()
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
        cause = [line for line in str(error).splitlines() if "Error: " in line]
        return lost(request, f"job {job.job_id}: {cause[-1] if cause else 'ended by an exception'}  {log}")
    return arrived(done)


def _lives(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that has ended is there until somebody asks
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
