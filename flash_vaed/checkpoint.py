"""Decoders and teachers on disk: our own folders, and what others have released, loaded strictly.

What a file is, its keys and shapes say (`flash_vaed.layouts`), never its name. A missing, left-over or misshapen tensor
is an error that lists it; no weight is ever left random in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.encoders import encoder_of
from flash_vaed.layouts import LAYOUTS, recognise
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.spec import DecoderSpec
from flash_vaed.teacher import BUNDLED, Teacher
from flash_vaed.tensors import CheckpointError, read_tensors
from flash_vaed.whole_file import whole_file

FORMAT = 1

M = TypeVar("M", bound=nn.Module)


def save_decoder(decoder: Decoder, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write `decoder.json` (the spec) and `decoder.safetensors` into `folder`, weights as `dtype`."""
    if type(decoder) is not Decoder:
        raise CheckpointError(f"a {type(decoder).__name__} is not saved; save the decoder that it was made from")
    _save(Path(folder), "decoder", decoder, {"spec": decoder.spec.to_json()}, dtype)


def load_decoder(path: str | Path) -> Decoder:
    """A decoder in float32, frozen.

    path: a folder written by `save_decoder`; a diffusers folder (or the pipeline folder around its `vae/`); a single
    file of any layout in `flash_vaed.layouts` (Wan2.1_VAE.pth, Flash_VAED_Wan.pth, Flash_VAED_LTX.pth, LightVAE,
    taew2_1.pth, diffusers' safetensors); or the name of a model in the Hugging Face cache. Whatever cannot be placed is
    a `CheckpointError`.
    """
    return identify(path)[1]


def identify(path: str | Path) -> tuple[str, Decoder]:
    """What kind of checkpoint `path` is, in words, and its decoder; takes and raises what `load_decoder` does."""
    place = _place(path)
    if not _is_ours(place):
        found = _read_foreign(place)
        return LAYOUTS.get(found.layout).title, _decoder_of(found)
    document, weights = _read(place, "decoder")
    with _naming(place / "decoder.json"):
        spec = DecoderSpec.from_json(document["spec"])
    return "flash_vaed folder", _built(lambda: Decoder(spec), weights, place, "decoder.json")


def decoder_from(weights: dict[str, Tensor], name: str, config: Mapping[str, Any] | None = None) -> Decoder:
    """A decoder in float32, frozen, from tensors in memory under the names of any layout; `name` appears in errors.

    config: what the weights do not tell, as the `config.json` beside them would.
    """
    with _naming(Path(name)):
        layout = recognise(weights)
    return _decoder_of(_Foreign(Path(name), layout, weights, dict(config or {})))


def save_teacher(teacher: Teacher, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a teacher with a `PatchEncoder`: the decoder's two files, `encoder.json` and `encoder.safetensors`."""
    if not isinstance(teacher.encoder, PatchEncoder):
        raise CheckpointError(
            f"only a teacher with a patch encoder is saved here, not {type(teacher.encoder).__name__}"
        )
    save_decoder(teacher.decoder, folder, dtype)
    encoder = teacher.encoder
    document = {"kind": "patch", "channels": encoder.channels, "overlap": encoder.overlap}
    _save(Path(folder), "encoder", encoder, document, dtype)


def load_teacher(path: str | Path = "bundled") -> Teacher:
    """A decoder with the encoder of its latent space.

    path: "bundled" (this project's own small teacher), a folder written by `save_teacher`, or whatever `load_decoder`
    takes, as long as there is an encoder in it (diffusers is needed to run that one).
    """
    if str(path) == "bundled":
        return _load_own_teacher(BUNDLED, "bundled")
    place = _place(path)
    if _is_ours(place):
        if not (place / "encoder.json").is_file():
            raise CheckpointError(f"{place} holds a decoder without an encoder, which a teacher needs")
        return _load_own_teacher(place, place.name)
    found = _read_foreign(place)
    with _naming(found.origin):
        encoder = encoder_of(found.layout, found.weights, found.config)
    if encoder is None:
        raise CheckpointError(f"{found.origin} holds a decoder without an encoder that runs here; a teacher needs one")
    return Teacher(str(path), _decoder_of(found), encoder)


def _load_own_teacher(folder: Path, name: str) -> Teacher:
    document, weights = _read(folder, "encoder")
    if document.get("kind") != "patch":
        raise CheckpointError(
            f"{folder / 'encoder.json'} describes a {document.get('kind')!r} encoder; only 'patch' is known"
        )
    with _naming(folder / "encoder.json"):
        channels, overlap = document["channels"], document["overlap"]
    encoder = _built(lambda: PatchEncoder(channels, overlap), weights, folder, "encoder.json")
    return Teacher(name, load_decoder(folder), encoder)


@dataclass(frozen=True)
class _Foreign:
    """A checkpoint of others as it was read: its layout's name, its tensors, the `config.json` beside them."""

    origin: Path
    layout: str
    weights: dict[str, Tensor]
    config: dict[str, Any]


def _read_foreign(place: Path) -> _Foreign:
    folder = _diffusers_folder(place) if place.is_dir() else place.parent
    files = [place]
    if place.is_dir():
        files = sorted(folder.glob("diffusion_pytorch_model*.safetensors"))
        if not files:
            raise CheckpointError(f"{folder} has no diffusion_pytorch_model.safetensors")
    config = _read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= read_tensors(file)
    with _naming(place):
        return _Foreign(place, recognise(weights), weights, config)


def _decoder_of(found: _Foreign) -> Decoder:
    with _naming(found.origin):
        spec, weights = LAYOUTS.get(found.layout).read(found.weights, found.config)
    return _built(lambda: Decoder(spec), weights, found.origin)


def _place(path: str | Path) -> Path:
    """The file or folder that is meant; a file of our own folder stands for the folder."""
    place = Path(path).expanduser()
    if place.is_file():
        return place.parent if place.name in ("decoder.safetensors", "decoder.json") else place
    if place.is_dir():
        return place
    cached = _cached_vae(str(path))
    if cached is None:
        raise CheckpointError(
            f"no file or folder {path}, and no such model in the Hugging Face cache; "
            f"fetch it with: hf download {path} --include 'vae/*'"
            if str(path).count("/") == 1 and not place.is_absolute()
            else f"no file or folder {path}"
        )
    return cached


def _is_ours(place: Path) -> bool:
    return (place / "decoder.json").is_file()


def _cached_vae(repository: str) -> Path | None:
    if repository.count("/") != 1 or repository.startswith(("/", ".", "~")):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(repository, "vae/config.json")
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None


def _diffusers_folder(folder: Path) -> Path:
    for candidate in (folder, folder / "vae"):
        if (candidate / "config.json").is_file():
            return candidate
    raise CheckpointError(f"{folder} holds neither decoder.json nor diffusers' config.json")


def _save(folder: Path, name: str, module: nn.Module, document: dict[str, Any], dtype: torch.dtype) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().to("cpu", dtype).contiguous() for key, value in module.state_dict().items()}
    with whole_file(folder / f"{name}.json") as described:  # both are whole before either takes its place
        described.write_text(json.dumps({"format": FORMAT, **document}, indent=2) + "\n")
        with whole_file(folder / f"{name}.safetensors") as partial:
            save_file(weights, partial)


def _read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    document = _read_json(folder / f"{name}.json")
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / name}.json has format {document.get('format')}; this version reads format {FORMAT}"
        )
    return document, read_tensors(folder / f"{name}.safetensors")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except (OSError, RecursionError, ValueError) as error:
        raise CheckpointError(f"cannot read {file}: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return document


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Say which file an entry is missing from, or wrong in."""
    try:
        yield
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{file} has no {error}") from error
    except (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: {' '.join(str(error).split())[:300]}") from error


def _built(build: Callable[[], M], weights: dict[str, Tensor], origin: Path, spec_file: str = "") -> M:
    """The module with these weights, frozen. It is tried without memory first: what a damaged spec asks for could be
    more than there is.
    """
    with _naming(origin / spec_file), torch.device("meta"):
        _check_fit(build(), weights, origin)
    module = build()
    module.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
    return module.eval().requires_grad_(False)


def _check_fit(module: nn.Module, weights: dict[str, Tensor], origin: Path) -> None:
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    problems = [f"missing {key}" for key in expected if key not in weights]
    problems += [f"left over {key}" for key in weights if key not in expected]
    for key, value in weights.items():
        if key in expected and tuple(value.shape) != expected[key]:
            problems.append(f"{key} has shape {tuple(value.shape)}, expected {expected[key]}")
        elif not value.is_floating_point():
            problems.append(f"{key} holds {value.dtype}, no floating-point numbers")
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{origin} does not fit its spec: {'; '.join(problems[:8])}{more}")
