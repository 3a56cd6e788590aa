"""The recipes of CONTRIBUTING.md are true: every file it shows works when it is added, with no other edit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
HOUSE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RECIPE = re.compile(r"^### [^\n]*: `([^`\n]+)`\n```(?:python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"`python -m bench ((?:run|multirun) [^`]+)`")

USE_EVERYTHING = """
import dataclasses, sys
import torch
import flash_vaed
from flash_vaed.distill import DistilRecipe, distil, from_videos
from flash_vaed.families.wan import wan_spec
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.spec import LatentSpace
from bench.__main__ import main
from bench.data import open_clips
from bench.metrics import make_metric
from bench.study import study_points
from dashboard.app import page_names

torch.manual_seed(0)
torch.set_num_threads(1)
spec = wan_spec(8, (1, 2, 2, 2), 2, latents=LatentSpace("small", (0.0,) * 4, (1.0,) * 4))
decoder = flash_vaed.Decoder(dataclasses.replace(spec, family="wan_bounded")).eval().requires_grad_(False)
teacher = flash_vaed.Teacher("small", decoder, PatchEncoder(4).requires_grad_(False))
flash_vaed.save_teacher(teacher, "small")
assert flash_vaed.load_teacher("small").decoder.spec.family == "wan_bounded"

edits = {"up2": flash_vaed.StageEdit("conv2d_now", True), "up3": flash_vaed.StageEdit("conv2d_now", True)}
plan = flash_vaed.CompressionPlan(edits, ratio=0.5, criterion="variance")
made = flash_vaed.compress(decoder, plan, [torch.randn(1, 4, 3, 4, 4)])
clip = torch.rand(1, 3, 5, 16, 16) * 2 - 1
videos = from_videos(teacher.encode, iter([clip] * 4))
history = distil(decoder, made, videos, DistilRecipe(("pixels",), steps=2))
assert {row[0] for row in history.losses} == {"pixels"}
assert made.decoder.decode(torch.randn(1, 4, 2, 2, 2)).shape == (1, 3, 5, 16, 16)
assert make_metric("mae")(clip[0], clip[0]).tolist() == [0.0] * 5
assert len(study_points(["ablations=criteria"])[1]) == 9

clips = open_clips("listed", "videos", "train")
assert len(clips.names) == 1
assert main(["clips"]) == 0
assert "failures" in page_names()
for command in sys.argv[1:]:
    assert main([*command.split(), "--show"]) == 0, command
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with every file of the recipes in it, and a folder of listed videos."""
    copy = tmp_path_factory.mktemp("project")
    for room in ("flash_vaed", "bench", "conf", "ablations", "dashboard"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "snapshot.pt"))
    for path, content in RECIPE.findall(GUIDE):
        assert not (copy / path).exists(), f"{path} is not one more file"
        (copy / path).write_text(content)
    (copy / "videos").mkdir()
    (copy / "videos" / "one.mp4").write_bytes(b"nothing is decoded here")
    (copy / "videos" / "train.txt").write_text("one.mp4\n")
    return copy


def test_every_recipe_shows_a_file():
    assert len(RECIPE.findall(GUIDE)) == GUIDE.count("\n### ") == 10


def test_the_files_of_all_recipes_work_and_so_do_the_commands_shown(project):
    commands = [command.replace("'", "") for command in COMMAND.findall(GUIDE)]
    assert len(commands) == 8
    script = [sys.executable, "-c", USE_EVERYTHING, *commands]
    done = subprocess.run(script, cwd=project, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", [GUIDE, HOUSE], ids=["contributing", "architecture"])
def test_every_file_a_document_names_is_there(document):
    named = set(re.findall(r"`((?:flash_vaed|bench|conf|dashboard|tests)/[\w/]+\.(?:py|yaml))`", document))
    new = {path for path, _ in RECIPE.findall(document)}
    assert [path for path in sorted(named - new) if not (ROOT / path).is_file()] == []
    assert len(named) > 5
