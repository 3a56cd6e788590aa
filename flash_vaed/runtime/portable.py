"""A decoder as files for other runtimes: the graph of a clip's first latent and that of every later step.

State goes in and out by name, so whoever runs them keeps two banks of it and swaps them. `graphs.json` says what is in
the folder. Kinds: "onnx" (onnxruntime, TensorRT) and "aot" (a library that PyTorch's AOTInductor compiled for this kind
of machine). Shapes are fixed, one folder per resolution: a static engine is up to 1.4 times faster than one that
takes a range of them.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.memory_format import ordered, weights_order
from flash_vaed.runtime.graph import StepGraph, step_graph, zero_state_behind
from flash_vaed.tensors import CheckpointError

KINDS = ("onnx", "aot")
SUFFIX = {"onnx": ".onnx", "aot": ".pt2"}
MANIFEST = "graphs.json"
FORMAT = 1

Step = Callable[[Tensor, Mapping[str, Tensor]], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class GraphFile:
    """One graph: (z, *slots_in) -> (frames, *slots_out). In ONNX an output `slot` is called `next.slot`."""

    file: str
    latents: tuple[int, ...]  # N, C, t, h, w
    frames: int
    slots_in: tuple[str, ...]
    slots_out: tuple[str, ...]


def export_graphs(
    decoder: Decoder, folder: str | Path, height: int, width: int, chunk: int = 1, kind: str = "onnx"
) -> list[Path]:
    """Write `first` and `steady` graphs and `graphs.json` into `folder`; the paths. Weights as they are, inside.

    height, width: of the frames, in pixels. chunk: latents that a steady step takes. A decoder that looks ahead has no
    steady step and is a `ValueError`, as are sizes off its grid and packages that are not installed.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    folder = Path(folder)
    like = next(decoder.parameters())
    _, h, w = decoder.spec.latent_shape(1, height, width)
    order = weights_order(decoder)
    first_z, steady_z = (
        ordered(torch.zeros(1, decoder.latents.channels, t, h, w, dtype=like.dtype, device=like.device), order)
        for t in (1, chunk)
    )
    first = step_graph(decoder, first_z, decoder.init_state(), portable=kind == "onnx")
    behind = zero_state_behind(decoder, first_z, decoder.init_state())
    steady = step_graph(decoder, steady_z, behind, portable=kind == "onnx")
    if steady.slots_in != steady.slots_out or decoder.spec.frames_out(1) != first.frames:
        raise ValueError(f"a {decoder.spec.family} decoder that looks ahead has no steady step of fixed shape")
    folder.mkdir(parents=True, exist_ok=True)
    written, files = [], {}
    for name, graph, z_NCthw in (("first", first, first_z), ("steady", steady, steady_z)):
        path = folder / f"{name}{SUFFIX[kind]}"
        _WRITERS[kind](graph, path)
        written.append(path)
        files[name] = GraphFile(path.name, tuple(z_NCthw.shape), graph.frames, graph.slots_in, graph.slots_out)
    manifest = folder / MANIFEST
    document = {
        "format": FORMAT, "kind": kind, "dtype": str(like.dtype).removeprefix("torch."), "torch": torch.__version__,
        "channels_last": order == torch.channels_last_3d,
        "spec": decoder.spec.to_json(), "graphs": {name: dataclasses.asdict(file) for name, file in files.items()},
    }  # fmt: skip
    manifest.write_text(json.dumps(document, indent=1) + "\n")
    return [*written, manifest]


class GraphStream:
    """Runs an exported folder on this machine: onnxruntime on the CPU, or AOTInductor's library."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        try:
            document = json.loads((folder / MANIFEST).read_text())
            if document["format"] != FORMAT:
                raise CheckpointError(
                    f"{folder / MANIFEST} has format {document['format']}; this version reads {FORMAT}"
                )
            graphs = {name: _graph_file(entry) for name, entry in document["graphs"].items()}
            self.first, self.steady = graphs["first"], graphs["steady"]
            self._order = torch.channels_last_3d if document["channels_last"] else torch.contiguous_format
            self.dtype, reader = getattr(torch, document["dtype"]), _READERS[document["kind"]]
        except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise CheckpointError(f"{folder} holds no exported graphs: {error}") from error
        self._steps = {file.file: reader(folder / Path(file.file).name, file) for file in (self.first, self.steady)}

    def stream(self, z_NCthw: Tensor) -> Iterator[Tensor]:
        """Frames of a clip, step by step: of its first latent, then of every `chunk` that follows."""
        memory: Mapping[str, Tensor] = {}
        chunk, done = self.steady.latents[2], 0
        if (z_NCthw.shape[2] - 1) % chunk or tuple(z_NCthw.shape[3:]) != self.first.latents[3:]:
            raise ValueError(
                f"these graphs take 1 + {chunk} k latents of {self.first.latents[3]} x {self.first.latents[4]}, "
                f"not {tuple(z_NCthw.shape[2:])}"
            )
        while done < z_NCthw.shape[2]:
            file = self.steady if done else self.first
            z_step = ordered(z_NCthw[:, :, done : done + file.latents[2]].to(self.dtype), self._order)
            frames_NCTHW, memory = self._steps[file.file](z_step, memory)
            done += file.latents[2]
            yield frames_NCTHW

    def decode(self, z_NCthw: Tensor) -> Tensor:
        """A clip's frames (1, 3, T, H, W) in [-1, 1]."""
        return torch.cat(list(self.stream(z_NCthw)), dim=2)


def _graph_file(entry: Mapping[str, Any]) -> GraphFile:
    lists: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return GraphFile(**lists)


def _write_onnx(graph: StepGraph, path: Path) -> None:
    _needs("onnxscript", "onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about packages that are not used here
        torch.onnx.export(
            graph.program, (), path, dynamo=True, verbose=False, external_data=False,
            input_names=["z", *graph.slots_in], output_names=["frames", *(f"next.{slot}" for slot in graph.slots_out)],
        )  # fmt: skip


def _write_aot(graph: StepGraph, path: Path) -> None:
    torch._inductor.aoti_compile_and_package(graph.program, package_path=str(path))


def _read_onnx(path: Path, file: GraphFile) -> Step:
    _needs("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def step(z_NCthw: Tensor, memory: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        given = {"z": z_NCthw.numpy(), **{slot: memory[slot].numpy() for slot in file.slots_in}}
        frames, *after = map(torch.from_numpy, session.run(None, given))
        return frames, dict(zip(file.slots_out, after, strict=True))

    return step


def _read_aot(path: Path, file: GraphFile) -> Step:
    run = torch._inductor.aoti_load_package(str(path))

    def step(z_NCthw: Tensor, memory: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        frames, *after = run(z_NCthw, *(memory[slot] for slot in file.slots_in))
        return frames, dict(zip(file.slots_out, after, strict=True))

    return step


def _needs(*packages: str) -> None:
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            raise ValueError(f"{package} is not installed; get it with: pip install 'flash-vaed[onnx]'") from error


_WRITERS: dict[str, Callable[[StepGraph, Path], None]] = {"onnx": _write_onnx, "aot": _write_aot}
_READERS: dict[str, Callable[[Path, GraphFile], Step]] = {"onnx": _read_onnx, "aot": _read_aot}
