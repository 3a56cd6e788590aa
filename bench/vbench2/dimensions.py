"""The 18 dimensions of VBench-2.0 as its code spells them, and what each of them needs.

Counts and rules are those of Vchitect/VBench, folder VBench-2.0, at `TESTED_COMMIT`: `vbench2/VBench2_full_info.json`,
`vbench2/<dimension>.py`, `scripts/constant.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

TESTED_COMMIT = "45e79ec14e69a2187202c675d2dbce1a71843d53"
NAME_LETTERS = 180  # of the prompt that a video's name keeps, spaces at the end included

_LLAVA, _QWEN, _COTRACKER = "LLaVA-Video-7B-Qwen2", "Qwen2.5-7B-Instruct", "CoTracker2"
_ASKING = ("llava", "decord", "transformers")


@dataclass(frozen=True)
class Dimension:
    """One dimension.

    prompts: in the official list. samples: videos per prompt. invalid: whether its code gives -1 to a video that cannot
    be judged and leaves it out of the mean. per_prompt: one value per prompt, of all its videos, and not per video.
    weights: names of `bench.vbench2.weights`. packages: importable names beside those of `COMMON_PACKAGES`. memory:
    what it is known to need. sensitive: whether another decoder of the same latents can plausibly move it.
    """

    key: str
    category: str
    prompts: int
    weights: tuple[str, ...]
    packages: tuple[str, ...]
    memory: str
    samples: int = 3
    invalid: bool = False
    per_prompt: bool = False
    sensitive: bool = False

    @property
    def videos(self) -> int:
        """Videos of the official list."""
        return self.prompts * self.samples


COMMON_PACKAGES = ("torch", "torchvision", "numpy", "cv2", "decord", "PIL", "tqdm", "yaml", "gdown", "scenedetect")

_7B = "a 7B model in bfloat16, 15 GB of weights, and 64 frames on the GPU"
_TWO_7B = "two 7B models in bfloat16, 30 GB of weights, and 64 frames on the GPU"
_WHOLE_CLIP = "a whole video on the GPU at once"


def _asks(key: str, category: str, prompts: int, invalid: bool = False) -> Dimension:
    return Dimension(key, category, prompts, (_LLAVA,), _ASKING, _7B, invalid=invalid)


def _asks_and_judges(key: str, category: str, prompts: int, invalid: bool = False) -> Dimension:
    return Dimension(key, category, prompts, (_LLAVA, _QWEN), _ASKING, _TWO_7B, invalid=invalid)


DIMENSIONS: dict[str, Dimension] = {
    dimension.key: dimension
    for dimension in (
        Dimension("Diversity", "Creativity", 10, ("VGG19",), (),
                  "about 130 MB of RAM per frame: 210 GB for the 20 videos of 81 frames of one prompt",
                  samples=20, per_prompt=True, sensitive=True),
        _asks("Composition", "Creativity", 53),
        _asks("Motion_Rationality", "Commonsense", 58),
        Dimension("Instance_Preservation", "Commonsense", 57, ("instance detector",), ("swift", "mmengine"),
                  "a Qwen-VL model; ffmpeg and ffprobe on the path, clips are cut into ./model_clip", sensitive=True),
        _asks("Dynamic_Spatial_Relationship", "Controllability", 69),
        _asks("Dynamic_Attribute", "Controllability", 91),
        _asks_and_judges("Motion_Order_Understanding", "Controllability", 99, invalid=True),
        _asks_and_judges("Human_Interaction", "Controllability", 100),
        _asks_and_judges("Complex_Landscape", "Controllability", 30),
        _asks_and_judges("Complex_Plot", "Controllability", 60),
        Dimension("Camera_Motion", "Controllability", 108, (_COTRACKER,), (), _WHOLE_CLIP, sensitive=True),
        Dimension("Human_Anatomy", "Human Fidelity", 120, ("YOLO-World", "anomaly detectors"),
                  ("mmcv", "mmdet", "mmyolo", "mmengine", "timm"), "batches of 128 crops", sensitive=True),
        Dimension("Human_Identity", "Human Fidelity", 46, ("RetinaFace", "ArcFace"),
                  ("retinaface", "einops", "imageio", "scipy"), _WHOLE_CLIP, invalid=True, sensitive=True),
        Dimension("Human_Clothes", "Human Fidelity", 75, (_LLAVA,), _ASKING, _7B, invalid=True, sensitive=True),
        _asks("Mechanics", "Physics", 57, invalid=True),
        _asks("Thermotics", "Physics", 50, invalid=True),
        _asks("Material", "Physics", 50, invalid=True),
        Dimension("Multi-View_Consistency", "Physics", 97, (_COTRACKER, "RAFT"), ("easydict", "matplotlib"),
                  _WHOLE_CLIP, invalid=True, sensitive=True),
    )
}  # fmt: skip

CATEGORIES: dict[str, tuple[str, ...]] = {
    category: tuple(key for key, dimension in DIMENSIONS.items() if dimension.category == category)
    for category in dict.fromkeys(dimension.category for dimension in DIMENSIONS.values())
}


def video_name(prompt: str, index: int) -> str:
    """The file name that VBench looks for: the first 180 letters as they are, never stripped, and the index."""
    return f"{prompt[:NAME_LETTERS]}-{index}.mp4"
