"""The command line: verbs, help, and one line for whatever is misspelt."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import VERBS, main
from bench.verbs import doctor

ROOT = Path(__file__).resolve().parents[2]


def test_overview_names_every_verb_with_a_sentence(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for verb in ("run", "multirun", "report", "doctor", "merge", "pretrain"):
        assert any(line.split()[:1] == [verb] and len(line.split()) > 4 for line in lines), verb
    assert main([]) == 2


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"python -m bench {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["rnu"], "did you mean 'run'"),
        (["multirum"], "did you mean 'multirun'"),
        (["run", "--frce"], "unrecognized arguments: --frce"),
        (["run", "ablations=quickstart"], "python -m bench multirun"),
        (["run", "plan=paper,dense"], "python -m bench multirun plan=paper,dense"),
        (["run", "pln=paper"], "did you mean 'plan'"),
        (["multirun", "ablations=quickstrat"], "unknown study 'quickstrat'; known: "),
        (["multirun", "plan=paper,desne"], "did you mean 'dense'"),
        (["pretrain", "recipe.stpes=1"], "did you mean 'steps'"),
        (["report", "--results", "no/such/folder"], "no/such/folder"),
        (["merge"], "FOLDER"),
        (["merge", "no/such/folder"], "no/such/folder"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert not shown.out
    assert not list(tmp_path.iterdir())


@pytest.mark.faults
def test_a_disk_without_room_is_one_line_and_another_error_of_the_system_is_not_hidden(capsys, monkeypatch):
    def fail(number):
        def run(argv):
            raise OSError(number, os.strerror(number), "/some/file")

        monkeypatch.setattr(doctor, "main", run)

    for number in (errno.ENOSPC, errno.EROFS, errno.EACCES):
        fail(number)
        assert main(["doctor"]) == 2
        said = capsys.readouterr().err
        assert said == f"error: cannot write /some/file: {os.strerror(number)}; finished runs are stored\n"
    fail(errno.ENOTDIR)
    with pytest.raises(NotADirectoryError):
        main(["doctor"])


def test_show_prints_the_plan_and_runs_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["multirun", "--show", "plan=paper,dense", "seed=0,1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["run", "--show", "plan=dense"]) == 0
    assert "name: dense" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_module_can_be_run_from_anywhere(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "reprot"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean 'report'" in done.stderr


def test_report_needs_no_torch(tmp_path):
    code = "import sys, bench.__main__ as m; m.main(['report', '--results', '.']); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_doctor_says_what_is_there_and_changes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = main(["doctor"])
    out = capsys.readouterr().out
    for subject in ("device", "packages", "teacher", "clips train", "clips heldout", "metric psnr", "results"):
        assert f" {subject} " in out
    assert code == (1 if "\nmissing " in f"\n{out}" else 0)
    assert not list(tmp_path.iterdir())


def test_doctor_reports_what_is_missing(capsys, monkeypatch, tmp_path):
    def absent(path):
        raise ValueError("no such teacher")

    monkeypatch.setattr(doctor, "load_teacher", absent)
    assert main(["doctor", "--results", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "missing  teacher" in out
    assert "not ready: teacher" in out
