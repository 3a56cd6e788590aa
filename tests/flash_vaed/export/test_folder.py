"""An exported folder is the decoder: same frames anywhere, back again bit for bit, and never a random weight."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flash_vaed import CheckpointError, Decoder, Teacher, load_decoder, load_teacher, save_decoder, to_diffusers_folder
from flash_vaed.export.folder import modelling_code
from flash_vaed.patch_encoder import PatchEncoder
from tests.flash_vaed.examples import SmoothVideo, random_decoder, random_latents, scramble, tiny_spec
from tests.flash_vaed.export.specs import SPECS

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path, teacher) -> Path:
    to_diffusers_folder(teacher, tmp_path / "export")
    return tmp_path / "export"


def latents_of(decoder: Decoder, t: int = 3) -> torch.Tensor:
    return random_latents(t, channels=decoder.latents.channels)


def auto_model(folder: Path, **options: Any) -> Any:
    from diffusers import AutoModel

    return AutoModel.from_pretrained(str(folder), trust_remote_code=True, **options)


def edit_weights(folder: Path, change: Any) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


# --- back into this project


@pytest.mark.parametrize("name", SPECS)
def test_a_decoder_comes_back_bit_for_bit(tmp_path, name):
    decoder = random_decoder(SPECS[name])
    to_diffusers_folder(decoder, tmp_path / "export")
    loaded = load_decoder(tmp_path / "export")
    assert loaded.spec == decoder.spec
    assert list(loaded.spec.stages) == list(decoder.spec.stages)
    torch.testing.assert_close(loaded.state_dict(), decoder.state_dict(), atol=0, rtol=0)


def test_the_folder_holds_three_files(folder):
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", WEIGHTS, "modeling_flash_vaed.py"]
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] == {"AutoModel": "modeling_flash_vaed.FlashVaed"}
    assert config["_class_name"] == "FlashVaed"


def test_an_export_without_its_config_is_refused(folder):
    (folder / "config.json").rename(folder / "other.json")
    with pytest.raises(CheckpointError, match=r"exported decoder's spec is in its config.json, which is missing"):
        load_decoder(folder / WEIGHTS)


@pytest.mark.parametrize("stages", [{"mid": {}}, [{"operator": "conv3d"}], 3, [{"name": "mid"}]])
def test_a_damaged_spec_is_refused(folder, stages):
    config = json.loads((folder / "config.json").read_text())
    edit_config(folder, decoder_spec={**config["decoder_spec"], "stages": stages})
    with pytest.raises(CheckpointError, match=r"not an? (exported )?decoder spec"):
        load_decoder(folder)


def test_exporting_again_replaces(folder):
    to_diffusers_folder(random_decoder(tiny_spec(4)), folder)
    assert load_decoder(folder).spec == tiny_spec(4)


@pytest.mark.parametrize("file", ["config.json", "diffusion_pytorch_model-00001-of-00002.safetensors"])
def test_another_model_is_not_overwritten(tmp_path, teacher, file):
    (tmp_path / file).write_text("{}")
    with pytest.raises(ValueError, match=rf"holds another model \({file}\); give a new folder"):
        to_diffusers_folder(teacher, tmp_path)
    with pytest.raises(ValueError, match="is a file; give a folder"):
        to_diffusers_folder(teacher, tmp_path / file)


# --- in a process without this project

ALONE = """
import importlib.util, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
sys.modules["flash_vaed"] = None  # an import of it fails
torch.set_num_threads(1)
for folder in sorted(Path(sys.argv[1]).iterdir()):
    spec = importlib.util.spec_from_file_location("_custom", folder / "modeling_flash_vaed.py")
    module = importlib.util.module_from_spec(spec)  # as SGLang does: never put into sys.modules
    spec.loader.exec_module(module)
    vae = module.FlashVaed.from_pretrained(folder, revision=None, trust_remote_code=True)
    z_NCthw = torch.randn(1, vae.config.z_dim, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    save_file({"frames": vae.decode(z_NCthw).sample}, folder / "frames.safetensors")
"""


def test_the_file_alone_gives_the_same_frames_bit_for_bit(tmp_path, modules_cache):
    decoders = {name: random_decoder(spec) for name, spec in SPECS.items()}
    exports = tmp_path / "exports"
    for name, decoder in decoders.items():
        to_diffusers_folder(decoder, exports / name)
    answer = subprocess.run(
        [sys.executable, "-c", ALONE, str(exports)], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    for name, decoder in decoders.items():
        chunk = 1 if decoder.spec.time == "causal_zero" else None
        frames = load_file(exports / name / "frames.safetensors")["frames"]
        assert torch.equal(frames, decoder.decode(latents_of(decoder), chunk)), name


# --- in diffusers


@pytest.mark.parametrize("name", ["wan_residual_patched", "ltx"])
def test_the_vae_says_what_pipelines_ask(tmp_path, modules_cache, name):
    decoder = random_decoder(SPECS[name])
    to_diffusers_folder(decoder, tmp_path / "export")
    vae = auto_model(tmp_path / "export")
    spec, channels = decoder.spec, decoder.latents.channels
    assert (vae.config.z_dim, vae.config.scale_factor_temporal, vae.config.scale_factor_spatial) == (
        channels, spec.temporal_scale, spec.spatial_scale,
    )  # fmt: skip
    assert (vae.temporal_compression_ratio, vae.spatial_compression_ratio) == (spec.temporal_scale, spec.spatial_scale)
    assert (vae.config.latents_mean, vae.config.latents_std) == (list(spec.latents.mean), list(spec.latents.std))
    assert vae.latents_mean.tolist() == pytest.approx(spec.latents.mean)
    assert vae.latents_std.tolist() == pytest.approx(spec.latents.std)
    assert (vae.config.scaling_factor, vae.config.timestep_conditioning) == (1.0, False)
    assert (vae.dtype, vae.device.type) == (torch.float32, "cpu")
    assert 2 ** sum(vae.temperal_downsample) == spec.temporal_scale
    assert 2 ** len(vae.temperal_downsample) * spec.patch == spec.spatial_scale
    z_NCthw = latents_of(decoder)
    expected = decoder.decode(z_NCthw, vae.chunk)
    assert torch.equal(vae.decode(z_NCthw).sample, expected)
    assert torch.equal(vae.decode(z_NCthw, None, return_dict=False)[0], expected)
    assert expected.abs().amax() == 1  # the clamp is at work


def test_the_chunk_changes_nothing_but_rounding(folder, modules_cache, teacher):
    vae = auto_model(folder)
    z_NCthw = random_latents(4)
    for vae.chunk in (1, 3, None):
        torch.testing.assert_close(vae.decode(z_NCthw).sample, teacher.decode(z_NCthw), atol=1e-5, rtol=0)


def test_half_precision_stays_near(folder, modules_cache, teacher):
    z_NCthw = random_latents(2)
    expected = teacher.decode(z_NCthw)
    cast, loaded = auto_model(folder).to(torch.bfloat16), auto_model(folder, torch_dtype=torch.bfloat16)
    for vae in (cast, loaded):
        frames = vae.decode(z_NCthw).sample  # float32 latents are cast, not refused
        assert (vae.dtype, frames.dtype) == (torch.bfloat16, torch.bfloat16)
        assert (frames.float() - expected).abs().mean() < 0.02
        assert vae.latents_std.dtype == torch.float32


@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("decoder.entry.conv.bias"), r"missing decoder.entry.conv.bias"),
        (lambda w: w.update({"decoder.more": torch.zeros(1)}), r"left over decoder.more"),
        (lambda w: w.update({"decoder.head.conv.bias": torch.zeros(2)}), r"head.conv.bias has shape \(2,\), expected"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_an_error_that_names_them(folder, modules_cache, change, message, low_memory):
    if low_memory:
        pytest.importorskip("accelerate", reason="accelerate is not installed")
    edit_weights(folder, change)
    with pytest.raises(ValueError, match=message) as error:
        auto_model(folder, low_cpu_mem_usage=low_memory)
    assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match=message.replace("decoder.", "")):
        load_decoder(folder)


def test_a_config_that_contradicts_its_spec_is_refused(folder, modules_cache):
    edit_config(folder, latents_std=[1.0] * 4)
    with pytest.raises(ValueError, match=r"config.json has latents_std \[1.0, .*by its decoder_spec it is \[1.0, 2.0"):
        auto_model(folder)


def test_saved_by_diffusers_it_is_the_same_folder(folder, modules_cache, tmp_path, teacher):
    """Also after another family's file was loaded in this process under the same module name."""
    vae = auto_model(folder)
    to_diffusers_folder(random_decoder(SPECS["ltx"]), tmp_path / "other")
    other = auto_model(tmp_path / "other")
    vae.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "modeling_flash_vaed.py").read_text() == modelling_code(teacher.spec)
    torch.testing.assert_close(load_decoder(tmp_path / "again").state_dict(), teacher.state_dict(), atol=0, rtol=0)
    z_NCthw = random_latents(2)
    frames = auto_model(tmp_path / "again").decode(z_NCthw).sample
    assert torch.equal(frames, vae.decode(z_NCthw).sample)
    assert other.decode(random_latents(2, channels=8)).sample.shape == (1, 3, 5, 16, 16)


# --- with an encoder


def test_a_decoder_alone_refuses_to_encode(folder, modules_cache):
    with pytest.raises(ValueError, match="this VAE is a decoder only; export it with encoder_from="):
        auto_model(folder).encode(torch.zeros(1, 3, 1, 16, 16))


def wan_vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(base_dim=4, z_dim=4, latents_mean=[0.1] * 4, latents_std=[1.5] * 4)


def ltx_vae() -> Any:
    from diffusers import AutoencoderKLLTXVideo

    widths, blocks, scaled = (8, 8, 8, 8), (1, 1, 1, 1, 1), (True, True, False, False)
    return AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=widths, decoder_block_out_channels=widths, layers_per_block=blocks,
        decoder_layers_per_block=blocks, spatio_temporal_scaling=scaled, decoder_spatio_temporal_scaling=scaled,
        patch_size=1,
    )  # fmt: skip


@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize("build", [wan_vae, ltx_vae])
def test_an_encoder_goes_along(tmp_path, modules_cache, build, low_memory):
    if low_memory:
        pytest.importorskip("accelerate", reason="accelerate is not installed")
    original = scramble(build()).eval()
    original.save_pretrained(tmp_path / "original")
    teacher = load_teacher(tmp_path / "original")
    to_diffusers_folder(teacher.decoder, tmp_path / "export", encoder_from=tmp_path / "original")
    vae = auto_model(tmp_path / "export", low_cpu_mem_usage=low_memory)
    x_NCTHW = torch.rand(1, 3, 9, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = vae.encode(x_NCTHW).latent_dist.mode()
    assert torch.equal(latents, original.encode(x_NCTHW).latent_dist.mode())
    assert torch.equal(vae.encode(x_NCTHW, return_dict=False)[0].mode(), latents)
    torch.testing.assert_close(
        vae.decode(latents).sample, original.decode(latents).sample.clamp(-1, 1), atol=1e-4, rtol=0
    )
    again = load_teacher(tmp_path / "export")
    assert torch.equal(again.encode(x_NCTHW), latents)
    assert torch.equal(again.decoder.decode(latents), teacher.decoder.decode(latents))


def test_an_encoders_missing_weight_is_named(tmp_path, modules_cache):
    wan_vae().save_pretrained(tmp_path / "original")
    teacher = load_teacher(tmp_path / "original")
    to_diffusers_folder(teacher.decoder, tmp_path / "export", encoder_from=teacher)
    edit_weights(tmp_path / "export", lambda weights: weights.pop("encoder.quant_conv.bias"))
    with pytest.raises(ValueError, match=r"missing encoder.quant_conv.bias"):
        auto_model(tmp_path / "export")
    with pytest.raises(CheckpointError, match="its quant_conv does not fit"):
        load_teacher(tmp_path / "export")


def test_an_encoder_of_other_latents_is_refused(tmp_path, modules_cache, teacher):
    wan_vae().save_pretrained(tmp_path / "original")
    with pytest.raises(ValueError, match="makes wan-4ch latents, but the decoder reads test latents"):
        to_diffusers_folder(teacher, tmp_path / "export", encoder_from=tmp_path / "original")
    assert not (tmp_path / "export").exists()


def test_a_patch_encoder_is_refused(tmp_path, teacher):
    encoder = PatchEncoder(4)
    encoder.fit([next(SmoothVideo())])
    with pytest.raises(ValueError, match="only diffusers' encoders are exported, not the PatchEncoder of small"):
        to_diffusers_folder(teacher, tmp_path / "export", encoder_from=Teacher("small", teacher, encoder))


def test_a_folder_of_save_decoder_is_still_read(tmp_path, teacher):
    save_decoder(teacher, tmp_path)
    assert load_decoder(tmp_path).spec == teacher.spec
