"""Decoders and teachers on disk: safetensors beside a JSON spec, loaded strictly.

A missing, left-over or misshapen tensor is an error that lists it; no weight is ever left random in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.families.wan_checkpoint import spec_from_diffusers, weights_from_diffusers
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.spec import DecoderSpec
from flash_vaed.teacher import BUNDLED, Teacher

FORMAT = 1


class CheckpointError(ValueError):
    """A folder or file that cannot be loaded; the message says what is wrong with it."""


def save_decoder(decoder: Decoder, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write `decoder.json` (the spec) and `decoder.safetensors` into `folder`, weights as `dtype`."""
    _save(Path(folder), "decoder", decoder, {"spec": decoder.spec.to_json()}, dtype)


def load_decoder(path: str | Path) -> Decoder:
    """A decoder in float32 from a folder written by `save_decoder`, or from a diffusers `AutoencoderKLWan` folder."""
    folder = _folder(path)
    if (folder / "decoder.json").is_file():
        document, weights = _read(folder, "decoder")
        with _naming(folder / "decoder.json"):
            decoder = Decoder(DecoderSpec.from_json(document["spec"]))
    else:
        spec, weights = _read_diffusers(_diffusers_folder(folder))
        decoder = Decoder(spec)
    return _fill(decoder, weights, folder)


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
    """The bundled teacher, one written by `save_teacher`, or Wan 2.1 from a diffusers folder or the Hugging Face cache.

    path: "bundled"; a folder (with `decoder.json` + `encoder.json`, or diffusers' `config.json`, also one level down in
    `vae/`); or a repository name such as "Wan-AI/Wan2.1-T2V-1.3B-Diffusers" whose files are in the cache already.
    """
    if str(path) == "bundled":
        return _load_own_teacher(BUNDLED, "bundled")
    folder = _folder(path)
    if (folder / "encoder.json").is_file():
        return _load_own_teacher(folder, folder.name)
    return _load_diffusers_teacher(_diffusers_folder(folder), str(path))


def _load_own_teacher(folder: Path, name: str) -> Teacher:
    document, weights = _read(folder, "encoder")
    if document.get("kind") != "patch":
        raise CheckpointError(
            f"{folder / 'encoder.json'} describes a {document.get('kind')!r} encoder; only 'patch' is known"
        )
    with _naming(folder / "encoder.json"):
        encoder = PatchEncoder(document["channels"], document["overlap"])
    return Teacher(name, load_decoder(folder), _fill(encoder, weights, folder))


def _load_diffusers_teacher(folder: Path, name: str) -> Teacher:
    from diffusers import AutoencoderKLWan

    decoder = load_decoder(folder)
    vae = AutoencoderKLWan.from_pretrained(folder, torch_dtype=torch.float32).eval().requires_grad_(False)
    del vae.decoder  # ours is read from the same file; theirs would only hold memory
    return Teacher(name, decoder, lambda x_NCTHW: vae.encode(x_NCTHW).latent_dist.mode())


def _folder(path: str | Path) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; give the folder that holds it")
    cached = _cached_vae(str(path))
    if cached is None:
        raise CheckpointError(
            f"no folder {path}, and no such model in the Hugging Face cache; "
            f"fetch it with: hf download {path} --include 'vae/*'"
            if str(path).count("/") == 1 and not folder.is_absolute()
            else f"no folder {path}"
        )
    return cached


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


def _read_diffusers(folder: Path) -> tuple[DecoderSpec, dict[str, Tensor]]:
    config = _read_json(folder / "config.json")
    if config.get("_class_name") != "AutoencoderKLWan":
        raise CheckpointError(f"{folder / 'config.json'} describes {config.get('_class_name')!r}, not AutoencoderKLWan")
    with _naming(folder / "config.json"):
        spec = spec_from_diffusers(config)
    files = sorted(folder.glob("diffusion_pytorch_model*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} has no diffusion_pytorch_model.safetensors")
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= _read_tensors(file)
    return spec, weights_from_diffusers(weights, spec)


def _save(folder: Path, name: str, module: nn.Module, document: dict[str, Any], dtype: torch.dtype) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().to("cpu", dtype).contiguous() for key, value in module.state_dict().items()}
    partial = folder / f"{name}.safetensors.partial"
    save_file(weights, partial)
    partial.replace(folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps({"format": FORMAT, **document}, indent=2) + "\n")


def _read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    document = _read_json(folder / f"{name}.json")
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / name}.json has format {document.get('format')}; this version reads format {FORMAT}"
        )
    return document, _read_tensors(folder / f"{name}.safetensors")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"cannot read {file}: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return document


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Say which file an entry is missing from, or wrong in."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"{file} has no {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: {error}") from error


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {file}: {error}") from error


def _fill(module: nn.Module, weights: dict[str, Tensor], origin: Path) -> Any:
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    problems = [f"missing {key}" for key in expected if key not in weights]
    problems += [f"left over {key}" for key in weights if key not in expected]
    problems += [
        f"{key} has shape {tuple(value.shape)}, expected {expected[key]}"
        for key, value in weights.items()
        if key in expected and tuple(value.shape) != expected[key]
    ]
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{origin} does not fit its spec: {'; '.join(problems[:8])}{more}")
    module.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
    return module.eval().requires_grad_(False)
