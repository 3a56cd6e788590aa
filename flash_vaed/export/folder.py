"""Write a decoder as a component folder: what diffusers (and hosts built on it) load in place of a VAE.

`config.json`, `diffusion_pytorch_model.safetensors` and `modeling_flash_vaed.py`, the one file of code, which needs
torch and diffusers but not this package. diffusers is needed here only where an encoder goes along.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from flash_vaed.checkpoint import load_teacher
from flash_vaed.decoder import Decoder
from flash_vaed.encoders import DiffusersEncoder
from flash_vaed.export.bundle import bundle
from flash_vaed.export.fields import host_fields, spec_to_config
from flash_vaed.families import FAMILIES
from flash_vaed.operators import OPERATORS
from flash_vaed.spec import DecoderSpec
from flash_vaed.teacher import Teacher

CLASS = "FlashVaed"
MODELLING = "modeling_flash_vaed"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def to_diffusers_folder(decoder: Decoder, folder: str | Path, encoder_from: Teacher | str | Path | None = None) -> None:
    """Write `decoder` so that `AutoModel.from_pretrained(folder, trust_remote_code=True)` gives pipelines their VAE.

    encoder_from: a teacher with one of diffusers' encoders, or a path of one as `load_teacher` takes it; its encoder
    goes into the folder. Without it `encode` is refused, which text-to-video does not miss. Weights keep their dtype.
    A folder that holds another model, or an encoder of another latent space, is a `ValueError`.
    """
    place = Path(folder)
    _check_free(place)
    code = modelling_code(decoder.spec)
    weights = {f"decoder.{key}": value for key, value in decoder.state_dict().items()}
    config = {
        "_class_name": CLASS,
        "auto_map": {"AutoModel": f"{MODELLING}.{CLASS}"},
        "decoder_spec": spec_to_config(decoder.spec),
        "encoder_config": None,
        **host_fields(decoder.spec),
    }
    if encoder_from is not None:
        config["encoder_config"], tensors = _encoder_of(encoder_from, decoder.spec)
        weights |= {f"encoder.{key}": value for key, value in tensors.items()}
    place.mkdir(parents=True, exist_ok=True)
    partial = place / f"{WEIGHTS}.partial"
    save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, partial, metadata={"format": "pt"})
    partial.replace(place / WEIGHTS)
    (place / f"{MODELLING}.py").write_text(code, encoding="utf-8")
    (place / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def modelling_code(spec: DecoderSpec) -> str:
    """The source of `modeling_flash_vaed.py`: what a decoder of this spec needs, and no other family or operator."""
    entries: list[Any] = [OPERATORS.get(name) for name in sorted({plan.operator for plan in spec.stages.values()})]
    return bundle(
        [entry.__module__ for entry in [*entries, FAMILIES.get(spec.family)]] + ["flash_vaed.export.modeling"]
    )


def _encoder_of(source: Teacher | str | Path, spec: DecoderSpec) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and weights of the encoder that makes a decoder's latents."""
    teacher = source if isinstance(source, Teacher) else load_teacher(source)
    if not isinstance(teacher.encoder, DiffusersEncoder):
        raise ValueError(
            f"only diffusers' encoders are exported, not the {type(teacher.encoder).__name__} of {teacher.name}"
        )
    if _latents(teacher.decoder.spec) != _latents(spec):
        raise ValueError(
            f"the encoder of {teacher.name} makes {teacher.decoder.spec.latents.name} latents, but the decoder reads "
            f"{spec.latents.name} latents (channels, statistics and scales must agree)"
        )
    vae = teacher.encoder.vae
    config = {key: value for key, value in vae.config.items() if not key.startswith("_")}
    tensors = {k: v for k, v in vae.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}
    return {"_class_name": type(vae).__name__, **config}, tensors


def _latents(spec: DecoderSpec) -> tuple[Any, ...]:
    return spec.latents.mean, spec.latents.std, spec.temporal_scale, spec.spatial_scale


def _check_free(place: Path) -> None:
    """Nobody's model is overwritten but an earlier export."""
    if place.is_file():
        raise ValueError(f"{place} is a file; give a folder to export into")
    config = place / "config.json"
    ours = config.is_file() and "decoder_spec" in config.read_text(encoding="utf-8")
    others = [config] if config.is_file() and not ours else []
    others += [file for file in place.glob("diffusion_pytorch_model*") if file.name != WEIGHTS]
    if others:
        raise ValueError(f"{place} holds another model ({others[0].name}); give a new folder to export into")
