"""The class that pipelines load: a decoder of ours behind the interface of diffusers' video VAEs.

It runs as the last part of an exported `modeling_flash_vaed.py` (`bundle.py` writes it): `source`, which
`save_pretrained` hands on, is the file that the class stands in. No other module of this package imports this one,
because it cannot do without diffusers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.export.fields import host_fields, spec_from_config


class FlashVaed(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Raw latents (N, C, t, h, w) to frames (N, 3, T, H, W) in [-1, 1], where `AutoencoderKLWan` or
    `AutoencoderKLLTXVideo` is expected.

    decoder_spec: see `spec_to_config`. encoder_config: the diffusers VAE whose encoder lies beside the decoder, if any.
    The other fields are there for pipelines; one that contradicts the spec is a `ValueError`.

    chunk: latents that `decode` takes at a time (None: all). Fewer need less memory; the frames are the same up to
    rounding. A causal decoder takes one, as diffusers' does.
    """

    __module__ = "modeling_flash_vaed"  # the file's name: a saved pipeline is read back by it
    _auto_class = "AutoModel"
    source = Path(__file__).read_text(encoding="utf-8")  # read now: the next folder's file takes this one's place

    @register_to_config
    def __init__(
        self,
        decoder_spec: dict[str, Any],
        encoder_config: dict[str, Any] | None = None,
        z_dim: int | None = None,
        latent_channels: int | None = None,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        scale_factor_temporal: int | None = None,
        scale_factor_spatial: int | None = None,
        out_channels: int | None = None,
        patch_size: int | None = None,
        patch_size_t: int | None = None,
        scaling_factor: float | None = None,
        timestep_conditioning: bool | None = None,
    ) -> None:
        super().__init__()
        spec = spec_from_config(decoder_spec)
        fields = host_fields(spec)
        for name, value in fields.items():
            if self.config[name] not in (None, value):
                raise ValueError(f"config.json has {name} {self.config[name]}, but by its decoder_spec it is {value}")
        self.register_to_config(**fields)
        self.decoder = Decoder(spec)
        self.encoder: Any = None if encoder_config is None else encoder_without_values(encoder_config)
        self.chunk = 1 if spec.time.startswith("causal") else None
        self.spatial_compression_ratio, self.temporal_compression_ratio = spec.spatial_scale, spec.temporal_scale
        upsamplings = [plan.upsample for plan in spec.stages.values() if plan.upsample != "none"]
        self.temperal_downsample = [upsample == "spatiotemporal" for upsample in reversed(upsamplings)]  # (sic)

    @property
    def latents_mean(self) -> Tensor:
        """(C,), float32 whatever the weights are: LTX pipelines denormalise with it."""
        return torch.tensor(self.config["latents_mean"], dtype=torch.float32)

    @property
    def latents_std(self) -> Tensor:
        """(C,), float32, as `latents_mean`."""
        return torch.tensor(self.config["latents_std"], dtype=torch.float32)

    @apply_forward_hook
    def decode(self, z: Tensor, temb: Tensor | None = None, return_dict: bool = True) -> Any:
        """Raw latents of any floating dtype to frames in the dtype of the weights.

        temb: LTX pipelines pass it; a decoder without timestep conditioning has no use for it.
        """
        frames = self.decoder.decode(z.to(self.dtype), self.chunk)
        return DecoderOutput(sample=frames) if return_dict else (frames,)

    @apply_forward_hook
    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Video (N, 3, T, H, W) in [-1, 1] to the posterior over raw latents, by the original VAE's encoder."""
        if self.encoder is None:
            raise ValueError("this VAE is a decoder only; export it with encoder_from=... to encode as well")
        return self.encoder.encode(x.to(next(self.encoder.parameters()).dtype), return_dict=return_dict)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As diffusers', which only warns where weights are missing or do not fit; here that is a `ValueError`."""
        told = kwargs.pop("output_loading_info", False)
        kwargs |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        loaded: Any = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        model, info = loaded
        problems = [f"missing {key}" for key in sorted(info["missing_keys"])]
        problems += [f"left over {key}" for key in sorted(info["unexpected_keys"])]
        problems += [f"{k} has shape {tuple(s)}, expected {tuple(e)}" for k, s, e in info["mismatched_keys"]]
        if problems:
            more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
            shown = "; ".join(problems[:8])
            raise ValueError(f"{pretrained_model_name_or_path} does not fit its decoder_spec: {shown}{more}")
        return (model, info) if told else model

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """As diffusers', with this file beside the weights."""
        super().save_pretrained(save_directory, *args, **kwargs)
        Path(save_directory, "modeling_flash_vaed.py").write_text(self.source, encoding="utf-8")


def encoder_without_values(config: dict[str, Any]) -> nn.Module:
    """The diffusers VAE of `config` without its decoder. Its weights are memory only, until a strict load fills it."""
    with torch.device("meta"):
        vae = getattr(diffusers, config["_class_name"]).from_config(config)
    for name, _ in list(vae.named_children()):
        if name not in ("encoder", "quant_conv"):
            setattr(vae, name, None)
    for name, _ in list(vae.named_buffers(recurse=False)):
        delattr(vae, name)
    return vae.to_empty(device="cpu")
