"""A made-up VBench-2.0: a checkout whose evaluator does as a control file says, and videos of a few frames."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import av
import numpy as np

from bench.vbench2.checkout import read_checkout
from bench.vbench2.plan import Plan
from bench.vbench2.planning import make_plan

LONG = (
    "A street seen from a balcony at 25°C — " + "with rain, " * 12 + "and then aaaaaaa "
)  # 180 letters end in a space
LONG = LONG[:179] + " and something after that"
SHARED = "A wooden toy floats."
PROMPTS = {
    "Diversity": [SHARED],
    "Human_Identity": [LONG, "A man reads a letter.", SHARED],
    "Camera_Motion": ["Garden, zoom in.", "A man reads a letter."],
}

EVALUATE = """
import argparse, json, os, subprocess, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("dimension", "videos_path", "output_path", "mode", "full_json_dir"):
    parser.add_argument("--" + name)
given = parser.parse_args()
here = Path(__file__).parent
assert Path.cwd() == here, "not started in the checkout"
assert given.mode == "vbench_standard"
with open(here / "calls.txt", "a") as stream:
    stream.write(json.dumps([given.dimension, given.videos_path, given.full_json_dir]) + "\\n")
records = json.load(open(given.full_json_dir or here / "vbench2/VBench2_full_info.json", encoding="utf-8"))
held, videos = os.listdir(given.videos_path), []
ending = os.path.splitext(held[0])[1]
for record in records:
    if given.dimension in record["dimension"]:
        names = [f"{record['prompt_en'][:180]}-{i}{ending}" for i in range(20 if given.dimension == "Diversity" else 3)]
        for name in names:
            if name not in held:
                raise
        videos += names[:1] if given.dimension == "Diversity" else names
clips = here / "model_clip" / Path(given.videos_path).parent.name
assert not clips.exists(), "clips of another arm"
clips.mkdir(parents=True)
control = json.loads((here / "control.json").read_text())
arm = Path(given.output_path).parts[-3]
how = control.get(f"{arm}/{given.dimension}", control.get(given.dimension, "good"))
out = Path(given.output_path)
if how == "crash":
    print("about to fail"); sys.exit("CUDA error: device on fire")
if how == "kill":
    os.kill(os.getpid(), 9)
if how == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (here / "self.pid").write_text(str(os.getpid()))
    (here / "child.pid").write_text(str(child.pid)); print("waiting", flush=True); time.sleep(600)
if how == "deep":
    out = out / "vbench2_videos" / "model"
out.mkdir(parents=True, exist_ok=True)
(out / "results_x_full_info.json").write_text(json.dumps(records))
values = [(sum(name.encode()) + 3 * len(arm)) % 11 / 10 for name in videos]
if how == "invalid":
    values[0] = -1
if how == "all invalid":
    values = [-1 for value in values]
if how == "nan":
    values[0] = float("nan")
valid = [value for value in values if value != -1]
score = sum(valid) / len(valid)
if how == "wrong score":
    score = 1 - score
found = [{"video_path": os.path.join(given.videos_path, n), "video_results": v} for n, v in zip(videos, values)]
if how == "short":
    found.pop()
    score = sum(values[:-1]) / len(values[:-1])
text = json.dumps({given.dimension: [score, found]})
if how != "omit":
    (out / "results_x_eval_results.json").write_text(text[:-9] if how == "torn" else text)
"""


def make_root(folder: Path, prompts: dict[str, list[str]] | None = None) -> Path:
    """A checkout with these prompts by dimension, and their extended texts."""
    prompts = PROMPTS if prompts is None else prompts
    for name in ("vbench2/third_party/Instance_detector", "vbench2/third_party/Dense_match", "prompts/prompt_aug"):
        (folder / name).mkdir(parents=True)
    (folder / "evaluate.py").write_text(EVALUATE)
    (folder / "vbench2/__init__.py").write_text("")
    records = [{"prompt_en": prompt, "dimension": [key], "auxiliary_info": "zoom_in"}
               for key, listed in prompts.items() for prompt in listed]  # fmt: skip
    (folder / "vbench2/VBench2_full_info.json").write_text(json.dumps(records))
    texts = list(dict.fromkeys(record["prompt_en"] for record in records))
    (folder / "prompts/VBench2_full_text.txt").write_text("\n".join(texts), encoding="utf-8")
    extended = "".join(f"{text} In soft light, filmed slowly.\n" for text in texts)
    (folder / "prompts/prompt_aug/Wanx_full_text_aug.txt").write_text(extended, encoding="utf-8")
    control(folder)
    return folder


def control(root: Path, **how: str) -> None:
    """What the evaluator does from now on, by dimension; the others are good."""
    (root / "control.json").write_text(json.dumps(how))


def calls(root: Path) -> list[list]:
    """[dimension, videos_path, full_json_dir] of every start of the evaluator."""
    path = root / "calls.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def plan_of(root: Path, **options) -> Plan:
    return make_plan(read_checkout(root), **options)


def make_videos(folder: Path, plan: Plan, *arms: str, frames: int = 3) -> Path:
    """All videos of a plan in every arm, of the same few frames."""
    for arm in arms:
        (folder / arm).mkdir(parents=True, exist_ok=True)
        for entry in plan.entries:
            (folder / arm / entry.name).write_bytes(clip(frames))
    return folder


@functools.cache
def clip(frames: int, rate: int = 16, level: int = 128) -> bytes:
    """An mp4 of grey pictures that become brighter by one in each frame."""
    import io

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width, video.height, video.pix_fmt = 32, 16, "yuv420p"
        for index in range(frames):
            picture = np.full((16, 32, 3), level + index, np.uint8)
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
    return stream.getvalue()
