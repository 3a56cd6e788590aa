"""The command line as a whole: help, wrong words, interruption; a mistake is one line and code 2."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flash_vaed.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[3]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def test_all_commands_are_listed(capsys):
    assert set(COMMANDS) == {"compress", "convert", "decode", "encode", "engines", "export", "info", "reconstruct"}
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {command} " in said for command in COMMANDS)
    assert main([]) == 2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_from_its_docstring(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    summary = (importlib.import_module(f"flash_vaed.commands.{command}").__doc__ or "").splitlines()[0]
    assert summary in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["inf"], "did you mean info"),
        (["info"], "PATH"),
        (["info", "nowhere.pth"], "no file or folder nowhere.pth"),
        (["info", "wan2.1", "--frames", "80"], "4 k + 1"),
        (["info", "wan2.1", "--fram", "81"], "--fram"),
        (["convert", "wan2.1", "out"], "without weights"),
        (["decode", "z.pt", "o.gif", "--decoder", "bundled"], ".mp4"),
        (["decode", "z.pt", "o.mp4", "--decoder", "bundled"], "no file z.pt"),
        (["decode", "z.pt", "none/o.mp4", "--decoder", "bundled"], "no folder none"),
        (["decode", "z.pt", "o.mp4", "--decoder", "bundled", "--chunk", "0"], "--chunk"),
        (["decode", "z.pt", "o.mp4", "--decoder", "bundled", "--fps", "0"], "--fps"),
        (["decode", "z.pt", "o.mp4", "--decoder", "bundled", "--device", "cuda:99"], "--device"),
        (["encode", "v.mp4", "o.mp4", "--teacher", "bundled"], ".safetensors"),
        (["encode", "v.mp4", "o.pt", "--teacher", "bundled"], "no video file v.mp4"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(argv, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert says in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_as_a_program(folder):
    command = [sys.executable, "-m", "flash_vaed", "decode", "z.safetensors", "o.mp4", "--decoder", "nowhere"]
    answer = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "error: no file or folder nowhere\n"


ENDLESS = """
import sys, time
from flash_vaed.__main__ import main
from flash_vaed.commands import decode

def streamed(decoder, z, plan):
    yield next(original(decoder, z, plan))
    print("begun", flush=True)
    time.sleep(60)

original, decode.streamed = decode.streamed, streamed
sys.exit(main(sys.argv[1:]))
"""


def test_interrupted_it_is_quiet_and_leaves_nothing(folder, tmp_path):
    argv = ["decode", str(folder / "z.safetensors"), str(tmp_path / "o.npy"), "--decoder", str(folder / "teacher")]
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, *argv],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    assert len(list(tmp_path.iterdir())) == 1  # the temporary file
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert list(tmp_path.iterdir()) == []
