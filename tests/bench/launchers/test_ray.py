"""A cluster of two nodes, one of which dies in the middle of a sweep: every run is there, once."""

from __future__ import annotations

import contextlib
import dataclasses
import time

import psutil
import pytest

from bench import records
from bench.launchers import LAUNCHERS
from bench.sweep import STORED
from tests.bench import examples
from tests.bench.launchers import targets
from tests.bench.sweep_targets import fail_on_odd_seeds, measure

pytest.importorskip("ray")

RUNS = 10  # of a second each: a busy machine starts the second node's worker late


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes of one core each on this machine; the second one as a process."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    quick = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
    small = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 << 20}
    made = Cluster(initialize_head=True, head_node_args={**small, "_system_config": quick})
    made.second = made.add_node(**small)
    yield made
    made.shutdown()


def request(folder, seed=0, **options):
    return examples.request(folder, seed, **options)


def launch(requests, target=targets.note, heard=None, **options):
    ray = LAUNCHERS.get("ray")(**{"gpus_per_run": 0, "cpus_per_run": 1, **options})
    return ray.launch(requests, lambda *said: None, target)


def raylet(node):
    """The process that is a node: the workers are its children."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def test_a_node_that_dies_in_the_middle_loses_no_run_and_doubles_none(cluster, tmp_path):
    requests = [request(tmp_path, seed) for seed in range(RUNS)]
    ends = launch(requests, targets.note_begin_and_end, address=cluster.address)
    done = [next(ends)]  # the nodes are at work, and go on while nobody asks
    doomed, lost, deadline_s = raylet(cluster.second), set(), time.monotonic() + 60
    while not lost and time.monotonic() < deadline_s:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            under_way = targets.under_way(tmp_path)
            lost = {seed for seed, pid in under_way.items() if doomed in psutil.Process(pid).parents()}
    assert lost, "the second node was never at work"
    killed = [*doomed.children(recursive=True), doomed]
    for process in killed:
        process.kill()
    done += ends
    assert sorted(d.request.label for d in done) == [f"seed {seed}" for seed in range(RUNS)]
    assert {d.status for d in done} == {"ok"}
    begun = [seed for seed, _, word in targets.notes(tmp_path) if word == "begin"]
    assert {seed for seed in begun if begun.count(seed) > 1} == lost, "what was lost, and that alone, was done again"
    runs, measurements, problems = records.read(tmp_path / "results")
    assert (len(runs), problems) == (RUNS, [])
    assert sorted(measurements["value"]) == list(range(RUNS))
    assert {d.request for d in done} == set(requests)


def test_a_run_whose_workers_die_again_and_again_is_a_failure_of_one_line(cluster, tmp_path):
    requests = [request(tmp_path, 0), request(tmp_path, 1)]
    done = list(launch(requests, targets.kill_the_worker_on_odd_seeds, address=cluster.address, retries=1))
    ended = {d.request.spec.seed: d for d in done}
    assert ended[0].status == "ok"
    assert ended[1].failed
    assert "its worker or node was lost" in ended[1].error
    assert "\n" not in ended[1].error
    assert len([seed for seed, *_ in targets.notes(tmp_path) if seed == "1"]) == 2, "once, and one retry"
    repeated = launch(requests, measure, address=cluster.address)
    assert {d.request.spec.seed: d.status for d in repeated} == {0: STORED, 1: "ok"}


def test_ray_on_this_machine_alone_stores_failures_and_refuses_what_cannot_be(tmp_path):
    done = launch([request(tmp_path, seed) for seed in (0, 1, 3)], fail_on_odd_seeds)
    assert {d.request.spec.seed: d.status for d in done} == {0: "ok", 1: "error", 3: "crashed"}
    assert len(records.read(tmp_path / "results")[0]) == 3
    (done,) = launch([dataclasses.replace(request(tmp_path, 5), device="cuda")])
    assert "torch finds no CUDA device" in done.error
    with pytest.raises(ValueError, match=r"no Ray node has 1 CPUs and 3 GPUs for a run; set launcher\.cpus_per_run"):
        list(launch([request(tmp_path)], gpus_per_run=3))


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"no Ray cluster at launcher\.address=auto") as caught:
        list(launch([request(tmp_path)], address="auto"))
    assert "\n" not in str(caught.value)
