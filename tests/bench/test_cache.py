"""What the cache gives back is what was put in, or it is made again with a warning; a reader never sees half a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench import cache as cache_module
from bench import locks
from bench.cache import Artefact, Cache, digest

ROOT = Path(__file__).resolve().parents[2]

KEY = {"teacher": "abc", "plan": {"up3": {"ratio": 0.25}}}


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def cache(tmp_path, warnings):
    return Cache(tmp_path / "cache", warnings.append)


def artefact():
    return Artefact(
        {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(3), "h": torch.ones(3).half()}, {"names": ["x"]}
    )


def refuse():
    raise AssertionError("was built although it is stored")


def test_second_fetch_reads_back_what_the_first_built(cache, warnings):
    made, read = cache.fetch("kind", KEY, artefact), cache.fetch("kind", KEY, refuse)
    assert read.document == made.document
    assert read.tensors.keys() == made.tensors.keys()
    for name, tensor in made.tensors.items():
        torch.testing.assert_close(read.tensors[name], tensor, rtol=0, atol=0)
    assert not warnings


@pytest.mark.faults
def test_key_order_does_not_matter_and_every_value_does(cache):
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    cache.fetch("kind", KEY, artefact)
    assert cache.holds("kind", dict(reversed(KEY.items())))
    assert not cache.holds("kind", {**KEY, "plan": {"up3": {"ratio": 0.125}}})
    assert not cache.holds("other", KEY)


@pytest.mark.faults
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_torn_file_is_made_again_with_a_warning(cache, warnings, keep):
    cache.fetch("kind", KEY, artefact)
    path = cache.path("kind", KEY)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    again = cache.fetch("kind", KEY, artefact)
    assert torch.equal(again.tensors["b"], artefact().tensors["b"])
    assert len(warnings) == 1
    assert path.name in warnings[0]
    assert "\n" not in warnings[0]
    cache.fetch("kind", KEY, refuse)


@pytest.mark.faults
def test_every_flipped_byte_is_noticed(cache, warnings):
    cache.fetch("kind", KEY, artefact)
    path = cache.path("kind", KEY)
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        read = cache.fetch("kind", KEY, artefact)
        assert torch.equal(read.tensors["b"], artefact().tensors["b"])
        assert read.document == {"names": ["x"]}


@pytest.mark.faults
def test_a_huge_header_length_is_refused_without_reading_on(cache, warnings):
    cache.fetch("kind", KEY, artefact)
    path = cache.path("kind", KEY)
    path.write_bytes((2**60).to_bytes(8, "little") + path.read_bytes()[8:])
    cache.fetch("kind", KEY, artefact)
    assert len(warnings) == 1


@pytest.mark.faults
def test_a_kill_before_the_rename_leaves_no_artefact(cache, monkeypatch):
    def killed(*args):
        raise SystemExit

    monkeypatch.setattr(cache_module.os, "fsync", killed)
    with pytest.raises(SystemExit):
        cache.fetch("kind", KEY, artefact)
    monkeypatch.undo()
    assert not cache.holds("kind", KEY)
    assert os.listdir(cache.path("kind", KEY).parent) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="set paths"):
        Cache(tmp_path / "file", print).fetch("kind", KEY, artefact)


def test_the_code_that_fills_the_cache_is_part_of_every_key(cache, monkeypatch):
    cache.fetch("kind", KEY, artefact)
    monkeypatch.setattr(cache_module, "code_fingerprint", lambda: "other code")
    assert not cache.holds("kind", KEY)


@pytest.mark.faults
def test_the_fingerprint_of_the_code_sees_code_but_not_comments(tmp_path, monkeypatch):
    (tmp_path / "pruning").mkdir()
    file = tmp_path / "pruning" / "rank.py"
    monkeypatch.setattr(cache_module, "ROOT", tmp_path)
    monkeypatch.setattr(cache_module, "SOURCES", ("pruning",))

    def fingerprint(text: str) -> str:
        file.write_text(text)
        return cache_module.code_fingerprint.__wrapped__()

    first = fingerprint("x = 1\n")
    assert fingerprint("x = 1  # one\n\n") == first
    assert fingerprint("x = 2\n") != first


def test_the_named_sources_exist():
    assert len(cache_module.code_fingerprint()) == 16


def users(folder, count, seconds):
    """Processes that are ready to ask for one artefact."""
    command = [sys.executable, "-m", "tests.bench.cache_users", str(folder), str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    started = [subprocess.Popen(command, **pipes, env={**os.environ, "OMP_NUM_THREADS": "1"}) for _ in range(count)]
    assert [user.stdout.readline() for user in started] == ["ready\n"] * count
    return started


def ask(user):
    user.stdin.write("go\n")
    user.stdin.flush()


def test_processes_that_want_one_artefact_at_once_make_it_once(tmp_path):
    started = users(tmp_path, 3, 0.5)
    for user in started:
        ask(user)
    answers = [user.communicate(timeout=60)[0] for user in started]
    begun, ended = (tmp_path / "made").read_text().splitlines()
    assert begun.split() == ["begin", ended.split()[1]]
    assert answers == [f"499500 {ended.split()[1]}\n"] * 3


def test_a_process_that_dies_while_it_makes_an_artefact_sets_the_next_to_work(tmp_path):
    first, second = users(tmp_path, 2, 3.0)
    ask(first)
    while not (tmp_path / "made").exists():
        time.sleep(0.02)
    ask(second)
    time.sleep(0.3)
    assert (tmp_path / "made").read_text() == f"begin {first.pid}\n", "the second did not wait"
    first.kill()
    assert second.communicate(timeout=60)[0] == f"499500 {second.pid}\n"
    first.communicate()


def test_a_file_system_without_locks_costs_work_and_harms_nothing(cache, warnings, monkeypatch):
    def without(self, **how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.FileLock, "acquire", without)

    def build():
        if not cache.holds("kind", KEY):
            cache.fetch("kind", KEY, artefact)  # another process makes it meanwhile
        return artefact()

    assert torch.equal(cache.fetch("kind", KEY, build).tensors["b"], artefact().tensors["b"])
    assert cache.fetch("kind", KEY, refuse).document == {"names": ["x"]}
    assert not warnings


def test_making_one_artefact_may_need_another(cache):
    def build():
        return Artefact(cache.fetch("kind", {"first": 1}, artefact).tensors)

    assert torch.equal(cache.fetch("kind", {"second": 1}, build).tensors["b"], artefact().tensors["b"])
