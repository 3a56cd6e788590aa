"""What VBench-2.0 lacks on this machine, each missing thing with the command that gets it. Nothing is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.vbench2.checkout import read_checkout
from bench.vbench2.dimensions import COMMON_PACKAGES, DIMENSIONS
from bench.vbench2.evaluator import MMCV, run_logged
from bench.vbench2.weights import WEIGHTS, cache_folder

IMPORT_TIMEOUT_S = 600
MODELS_GB, DIVERSITY_GB = 31, 210  # the two 7B models in bfloat16; 20 videos of 81 frames

HOW = {
    "torch": "pip install torch==2.5.1 torchvision==0.20.1 --index-url https://download.pytorch.org/whl/cu118",
    "cv2": "pip install opencv-python-headless==4.10.0.84",
    "PIL": "pip install pillow==10.2.0",
    "yaml": "pip install pyyaml",
    "llava": "pip install git+https://github.com/LLaVA-VL/LLaVA-NeXT@79ef45a6d8b89b92d7a8525f077c3a3a9894a87d",
    "mmcv": "pip install mmcv==2.2.0 -f https://download.openmmlab.com/mmcv/dist/cu118/torch2.4/index.html",
    "mmdet": f"pip install mmdet==3.0.0, then {MMCV}",
    "mmyolo": f"pip install mmyolo==0.6.0, then {MMCV}",
    "mmengine": "pip install mmengine==0.10.5",
    "retinaface": "pip install retinaface_pytorch==0.0.8 --no-deps",
    "swift": "pip install -e vbench2/third_party/Instance_detector",
    "transformers": "pip install transformers==4.51.0 tokenizers==0.21.1",
    "timm": "pip install timm==0.4.12",
    "decord": "pip install decord==0.6.0",
    "scenedetect": "pip install scenedetect==0.6.5.2",
}
HOW["torchvision"] = HOW["torch"]
WRITE_VIDEO = "torchvision.io.write_video"

_PROGRAM = """
import importlib, sys, warnings
warnings.filterwarnings("ignore")
for name in sys.argv[1:]:
    print("?", name, flush=True)
    try:
        if name == "torchvision.io.write_video":
            from torchvision.io import write_video
        else:
            module = importlib.import_module(name)
        print("+", name, getattr(sys.modules[name.split(".")[0]], "__version__", ""), flush=True)
    except BaseException as error:
        print("-", name, type(error).__name__, " ".join(str(error).split())[:200], flush=True)
torch = sys.modules.get("torch")
print("+" if torch is not None and torch.cuda.is_available() else "-", "cuda", flush=True)
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report. state: "ok", "note" or "missing" (some dimension cannot run)."""

    subject: str
    state: str
    text: str


def examine(root: str | None, python: str | None) -> Iterator[Finding]:
    """Everything worth saying: checkout, packages of VBench's interpreter, weights, programs, machine, known traps."""
    if root is None:
        yield Finding("checkout", "note", "not looked at; give --root VBench/VBench-2.0")
    else:
        yield from _checkout(root)
    if python is None:
        yield Finding("packages", "note", "not looked at; give VBench's interpreter with --python")
    else:
        yield from _packages(python)
    for name, weight in WEIGHTS.items():
        needed_by = [key for key, row in DIMENSIONS.items() if name in row.weights]
        missing = weight.missing()
        told = f"for {', '.join(needed_by)}"
        if missing:
            told = f"{missing[0]} is not there, {told}; get it with: {weight.how()}"
        yield Finding(f"weights {name}", "missing" if missing else "ok", told)
    for program, why in (("ffmpeg", "Instance_Preservation cuts clips"), ("ffprobe", "it reads their lengths"),
                         ("unzip", "to unpack RAFT"), ("wget", "downloads of ArcFace and RAFT")):  # fmt: skip
        path, package = shutil.which(program), "ffmpeg" if program == "ffprobe" else program
        told = path or f"not on the path; {why}: apt install {package}"
        yield Finding(program, "ok" if path else "note", told)
    yield from _machine()
    for trap in TRAPS:
        yield Finding("known trap", "note", trap)


TRAPS = (
    f"mmcv 2.2.0 'is used but incompatible' (Human_Anatomy): {MMCV}",
    "torchvision without io.write_video cannot import vbench2.utils: VBench-2.0 wants torchvision 0.20.1",
    "the package vbench2 on PyPI is older, without parts of Instance_Preservation and Multi-View_Consistency: use git",
    "Instance_Preservation gives 1 to a video under 2 s and to one whose clips it cannot read: see its log for errors",
)


def _checkout(root: str) -> Iterator[Finding]:
    try:
        checkout = read_checkout(root)
    except ValueError as error:
        yield Finding("checkout", "missing", str(error))
        return
    yield Finding("checkout", "ok", f"{checkout.root}, commit {checkout.commit}, {len(checkout.prompts)} prompts")
    for warning in checkout.warnings:
        yield Finding("checkout", "note", warning)


def _packages(python: str) -> Iterator[Finding]:
    """What imports in VBench's interpreter, in one process; a crash of it costs the packages after it only."""
    program = shutil.which(str(Path(python).expanduser()))
    if program is None:
        yield Finding("packages", "missing", f"--python {python} is no program")
        return
    wanted: dict[str, list[str]] = {name: [] for name in (*COMMON_PACKAGES, WRITE_VIDEO)} | _needed_by()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [str(Path(program).absolute()), "-c", _PROGRAM, *wanted]
        ended = run_logged(command, Path(folder), log, IMPORT_TIMEOUT_S)
        lines = [line.split(maxsplit=2) for line in log.read_text(errors="replace").splitlines()]
    answers = {line[1]: line for line in lines if len(line) > 1 and line[0] in ("?", "+", "-")}
    for name, needed_by in wanted.items():
        sign, _, said = (*answers.get(name, ["", name]), "")[:3]
        whose = f"for {', '.join(needed_by)}" if needed_by else "for every dimension"
        if sign == "+":
            yield Finding(f"package {name}", "ok", said or "imports")
        elif sign == "-":
            how = MMCV if "incompatible" in said else HOW.get(name, f"pip install {name}")
            how = TRAPS[1] if name == WRITE_VIDEO else f"get it with: {how}"
            yield Finding(f"package {name}", "missing", f"{said}; {whose}; {how}")
        else:
            why = f"the interpreter ended here: {ended.reason}" if sign == "?" else "not reached"
            yield Finding(f"package {name}", "missing", f"{why}; {whose}")
    if answers.get("cuda", [""])[0] != "+":
        yield Finding("cuda", "missing", "torch finds no CUDA device there; VBench-2.0's evaluate.py needs one")


def _needed_by() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, row in DIMENSIONS.items():
        for name in row.packages:
            if name not in COMMON_PACKAGES:
                found.setdefault(name, []).append(key)
    return found


def _machine() -> Iterator[Finding]:
    cache = cache_folder()
    nearest = next(path for path in (cache.absolute(), *cache.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free / 1e9
    told = f"{free:.0f} GB free for {cache}; the two 7B models alone take {MODELS_GB} GB"
    yield Finding("disk", "ok" if free > MODELS_GB else "note", told)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 if sys.platform == "linux" else 0.0
    told = f"{memory:.0f} GB of RAM; Diversity keeps about {DIVERSITY_GB} GB for one prompt of 20 videos of 81 frames"
    yield Finding("memory", "ok" if memory > DIVERSITY_GB else "note", told)
    yield _gpu()


def _gpu() -> Finding:
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return Finding("gpu", "missing", "no NVIDIA GPU; evaluate.py takes 'cuda' and nothing else")
    return Finding("gpu", "ok", "; ".join(told.splitlines()))
