"""Arms are timed in ABBA order, warmed up first, and every sample is kept."""

from __future__ import annotations

import time

import pytest

from bench.timing import Stopwatch, TimingPlan, interleaved


class FakeClock:
    """Time that passes only when a call takes it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now_s

    def arm(self, name: str, seconds: float):
        def call() -> None:
            self.calls.append(name)
            self.now_s += seconds

        return call


def test_blocks_are_abba_and_repeats_count_each_arm():
    clock = FakeClock()
    arms = {"teacher": clock.arm("teacher", 1.0), "student": clock.arm("student", 0.25)}
    plan = TimingPlan(warmup_s=0.0, min_blocks=2, max_blocks=2, max_seconds=0.0)
    samples = interleaved(arms, plan, Stopwatch(clock=clock))
    order = ["teacher", "student", "student", "teacher"]
    assert clock.calls == ["teacher", "student", *order, *order]
    assert [sample.arm for sample in samples] == order * 2
    assert [sample.block for sample in samples] == [0] * 4 + [1] * 4
    assert [s.repeat for s in samples if s.arm == "student"] == [0, 1, 2, 3]
    assert all(s.repeat // 2 == s.block for s in samples)
    assert {(s.arm, s.seconds) for s in samples} == {("teacher", 1.0), ("student", 0.25)}


def test_warm_up_goes_by_time_and_is_not_stored():
    clock = FakeClock()
    plan = TimingPlan(warmup_s=3.0, min_blocks=1, max_blocks=1, max_seconds=0.0)
    samples = interleaved(
        {"slow": clock.arm("slow", 2.0), "fast": clock.arm("fast", 0.5)}, plan, Stopwatch(clock=clock)
    )
    assert clock.calls[:2] == ["slow"] * 2
    assert clock.calls[2:8] == ["fast"] * 6
    assert len(samples) == 4


@pytest.mark.parametrize(("max_seconds", "blocks"), [(0.0, 2), (7.0, 3), (100.0, 5)])
def test_blocks_follow_the_budget_within_their_bounds(max_seconds, blocks):
    clock = FakeClock()
    plan = TimingPlan(warmup_s=0.0, min_blocks=2, max_blocks=5, max_seconds=max_seconds)
    samples = interleaved({"a": clock.arm("a", 1.0), "b": clock.arm("b", 0.5)}, plan, Stopwatch(clock=clock))
    assert len(samples) == 4 * blocks


@pytest.mark.faults
def test_the_device_is_waited_for_around_every_timed_call():
    clock = FakeClock()
    plan = TimingPlan(warmup_s=0.0, min_blocks=1, max_blocks=1)
    interleaved({"a": clock.arm("call", 1.0)}, plan, Stopwatch(lambda: clock.calls.append("wait"), clock))
    assert clock.calls == ["wait", "call", "wait"] * 3


def test_short_calls_are_averaged_until_a_sample_is_long_enough():
    clock = FakeClock()
    plan = TimingPlan(warmup_s=0.0, min_blocks=1, max_blocks=1, min_sample_s=1.0)
    samples = interleaved(
        {"short": clock.arm("short", 0.3), "long": clock.arm("long", 2.0)}, plan, Stopwatch(clock=clock)
    )
    assert clock.calls == ["short", "long", *["short"] * 4, "long", "long", *["short"] * 4]
    assert {(s.arm, round(s.seconds, 9)) for s in samples} == {("short", 0.3), ("long", 2.0)}


def test_host_time_ends_when_the_call_returns():
    clock = FakeClock()

    def queue_is_done() -> None:
        clock.now_s += 5.0

    watch = Stopwatch(queue_is_done, clock)
    seconds, host_seconds, device_seconds = watch.time(clock.arm("launch", 0.5))
    assert (seconds, host_seconds, device_seconds) == (5.5, 0.5, None)


def test_the_harness_costs_at_most_two_per_cent_of_a_call():
    """Of a call of two milliseconds, a hundredth of a short decode; the best of several tries on a busy machine."""
    plan = TimingPlan(warmup_s=0.0, min_blocks=50, max_blocks=50)
    costs_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        interleaved({"nothing": lambda: None}, plan)
        costs_s.append((time.perf_counter() - start_s) / 101)
    assert min(costs_s) < 0.02 * 2e-3


@pytest.mark.faults
@pytest.mark.parametrize("wrong", [{"min_blocks": 0}, {"min_blocks": 5, "max_blocks": 4}, {"warmup_s": -1.0}])
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(ValueError, match="timing needs"):
        TimingPlan(**wrong)
