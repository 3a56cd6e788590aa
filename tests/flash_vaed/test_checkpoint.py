"""What is saved comes back exactly; whatever does not fit is one clear line, never a random weight."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flash_vaed import CheckpointError, Teacher, load_decoder, load_teacher, save_decoder, save_teacher
from flash_vaed.patch_encoder import PatchEncoder
from tests.flash_vaed.examples import SmoothVideo, random_decoder, random_latents, scramble, tiny_spec

ROOT = Path(__file__).resolve().parents[2]


def is_one_line(error: pytest.ExceptionInfo) -> bool:
    return "\n" not in str(error.value)


@pytest.fixture
def saved(tmp_path) -> Path:
    """A folder with a teacher of ours."""
    encoder = PatchEncoder(4, overlap=2)
    encoder.fit([next(SmoothVideo())])
    save_teacher(Teacher("small", random_decoder(tiny_spec(4)), encoder.eval()), tmp_path / "small")
    return tmp_path / "small"


def test_a_decoder_comes_back_bit_for_bit(tmp_path):
    decoder = random_decoder()
    save_decoder(decoder, tmp_path / "new" / "folder")
    loaded = load_decoder(str(tmp_path / "new" / "folder"))
    assert loaded.spec == decoder.spec
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.state_dict().keys() == decoder.state_dict().keys()
    assert all(torch.equal(value, decoder.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == [
        "decoder.json", "decoder.safetensors",
    ]  # fmt: skip


def test_half_precision_files_load_as_float32(tmp_path):
    decoder = random_decoder()
    save_decoder(decoder, tmp_path, torch.float16)
    loaded = load_decoder(tmp_path)
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, decoder.state_dict()[name].half().float())


def test_saving_again_replaces(tmp_path):
    save_decoder(random_decoder(seed=1), tmp_path)
    save_decoder(random_decoder(tiny_spec(4), seed=2), tmp_path)
    assert load_decoder(tmp_path).spec == tiny_spec(4)


def test_a_teacher_of_ours_comes_back(saved):
    x_NCTHW = next(SmoothVideo())
    teacher = load_teacher(saved)
    assert teacher.name == "small"
    expected = PatchEncoder(4, overlap=2)
    expected.fit([x_NCTHW])
    assert torch.equal(teacher.encode(x_NCTHW), expected.eval()(x_NCTHW))
    assert torch.equal(load_decoder(saved).head.conv.weight, teacher.decoder.head.conv.weight)


def test_only_a_patch_encoder_is_saved(tmp_path):
    with pytest.raises(CheckpointError, match="patch encoder is saved here, not function"):
        save_teacher(Teacher("x", random_decoder(), lambda x: x), tmp_path)


def edit_weights(file: Path, change: Any) -> None:
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["decoder", "encoder"])
def test_missing_left_over_and_misshapen_tensors_are_listed_together(saved, name):
    edit_weights(saved / f"{name}.safetensors", lambda weights: weights.update(extra=torch.zeros(1)))
    key, shape = ("head.conv.bias", r"\(3,\)") if name == "decoder" else ("bias", r"\(2,\)")
    gone = "stages.up1.blocks.0.shortcut.weight" if name == "decoder" else "weight"
    edit_weights(saved / f"{name}.safetensors", lambda weights: weights.pop(gone))
    edit_weights(saved / f"{name}.safetensors", lambda weights: weights.update({key: torch.zeros(5)}))
    with pytest.raises(CheckpointError, match=rf"does not fit its spec: missing {gone}") as error:
        load_teacher(saved)
    assert is_one_line(error)
    error.match("left over extra")
    error.match(rf"{key} has shape \(5,\), expected {shape}")


def test_a_long_list_of_problems_is_cut_with_its_length(saved):
    edit_weights(saved / "decoder.safetensors", lambda weights: [weights.pop(key) for key in list(weights)[:30]])
    with pytest.raises(CheckpointError, match="and 22 more"):
        load_decoder(saved)


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "absent"])
@pytest.mark.parametrize("name", ["decoder", "encoder"])
def test_a_damaged_weights_file_is_named(saved, name, damage):
    file = saved / f"{name}.safetensors"
    whole = file.read_bytes()
    damaged = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"not a checkpoint"}
    file.unlink() if damage == "absent" else file.write_bytes(damaged[damage])
    with pytest.raises(CheckpointError, match=f"cannot read .*{name}.safetensors") as error:
        load_teacher(saved)
    assert is_one_line(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read .*decoder.json"),
        ("[]", "decoder.json is not a JSON object"),
        ("{}", "decoder.json has format None; this version reads format 1"),
        ('{"format": 1}', "decoder.json has no 'spec'"),
        ('{"format": 1, "spec": {}}', "decoder.json: not a decoder spec"),
    ],
)
def test_a_damaged_spec_file_is_named(saved, text, message):
    (saved / "decoder.json").write_text(text)
    with pytest.raises(CheckpointError, match=message) as error:
        load_decoder(saved)
    assert is_one_line(error)


def test_an_operator_this_version_lacks_is_named(saved):
    document = json.loads((saved / "decoder.json").read_text())
    document["spec"]["stages"]["mid"]["operator"] = "conv9d"
    (saved / "decoder.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"decoder.json: unknown operator 'conv9d'"):
        load_decoder(saved)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"format": 1, "kind": "unet"}, "describes a 'unet' encoder; only 'patch' is known"),
        ({"format": 1, "kind": "patch", "channels": 4}, "encoder.json has no 'overlap'"),
        ({"format": 2, "kind": "patch"}, "has format 2; this version reads format 1"),
    ],
)
def test_a_damaged_encoder_file_is_named(saved, document, message):
    (saved / "encoder.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=message):
        load_teacher(saved)


@pytest.mark.parametrize("load", [load_decoder, load_teacher])
def test_paths_that_hold_no_checkpoint(tmp_path, load):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"cannot read {file}"):
        load(file)
    with pytest.raises(CheckpointError, match=f"no file or folder {tmp_path / 'absent'}"):
        load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"holds neither decoder.json nor diffusers' config.json"):
        load(tmp_path)


@pytest.fixture
def empty_hub_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_model_that_is_not_in_the_cache_comes_with_its_command(empty_hub_cache):
    name = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
    with pytest.raises(CheckpointError, match=rf"fetch it with: hf download {name} --include 'vae/\*'") as error:
        load_teacher(name)
    assert is_one_line(error)


def test_importing_the_package_does_not_import_diffusers():
    script = "import sys, flash_vaed; print('diffusers' in sys.modules, 'huggingface_hub' in sys.modules)"
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=root)
    assert answer.stdout.split() == ["False", "False"], answer.stderr


# --- diffusers folders


@pytest.fixture(scope="module")
def vae() -> Any:
    diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [1.5] * 4}
    model = diffusers.AutoencoderKLWan(base_dim=4, decoder_base_dim=8, z_dim=4, **statistics)
    scramble(model)
    return model.eval().requires_grad_(False)


@pytest.fixture
def vae_folder(vae, tmp_path) -> Path:
    vae.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def check_teacher(teacher: Teacher, vae: Any) -> None:
    """Encodes and decodes as diffusers does."""
    generator = torch.Generator().manual_seed(0)
    x_NCTHW = torch.rand(2, 3, 9, 16, 16, generator=generator) * 2 - 1
    torch.testing.assert_close(teacher.encode(x_NCTHW), vae.encode(x_NCTHW).latent_dist.mode(), atol=1e-4, rtol=0)
    z_NCthw = random_latents(3)
    torch.testing.assert_close(teacher.decoder.decode(z_NCthw), vae.decode(z_NCthw).sample, atol=1e-4, rtol=0)


def test_a_diffusers_folder_is_a_teacher(vae, vae_folder):
    teacher = load_teacher(vae_folder)
    check_teacher(teacher, vae)
    assert torch.equal(teacher.encode(torch.zeros(1, 3, 5, 8, 8)), teacher.encode(torch.zeros(1, 3, 5, 8, 8)))
    torch.testing.assert_close(load_decoder(vae_folder).state_dict(), teacher.decoder.state_dict())


def test_a_pipeline_folder_is_read_from_its_vae(vae, tmp_path):
    vae.save_pretrained(tmp_path / "pipeline" / "vae")
    check_teacher(load_teacher(tmp_path / "pipeline"), vae)


def test_shards_are_read_together(vae, tmp_path):
    vae.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    check_teacher(load_teacher(tmp_path), vae)


def test_a_model_in_the_hub_cache_is_found_by_name(vae, empty_hub_cache):
    repository = empty_hub_cache / "models--Some--Model"
    vae.save_pretrained(repository / "snapshots" / "abc" / "vae")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    teacher = load_teacher("Some/Model")
    assert teacher.name == "Some/Model"
    check_teacher(teacher, vae)


def test_another_kind_of_model_is_refused(vae_folder):
    save_file({"decoder.up_blocks.0.weight": torch.zeros(1)}, vae_folder / "diffusion_pytorch_model.safetensors")
    with pytest.raises(CheckpointError, match="are of no layout known here") as error:
        load_decoder(vae_folder)
    assert is_one_line(error)


def edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def test_the_weights_file_alone_finds_its_config(vae, vae_folder):
    check_teacher(load_teacher(vae_folder / "diffusion_pytorch_model.safetensors"), vae)


def test_unpublished_statistics_need_the_config(vae_folder):
    """Four latent channels are nobody's published space; a default would decode the wrong latents in silence."""
    (vae_folder / "config.json").rename(vae_folder / "other.json")
    with pytest.raises(CheckpointError, match="statistics of these 4-channel latents are not published"):
        load_decoder(vae_folder / "diffusion_pytorch_model.safetensors")


def test_statistics_of_another_width_are_refused(vae_folder):
    edit_config(vae_folder, latents_mean=[0.0] * 5)
    with pytest.raises(CheckpointError, match="takes 4 latent channels, but latents_mean has 5 values") as error:
        load_decoder(vae_folder)
    assert is_one_line(error)


def test_an_encoder_that_does_not_fit_is_refused(vae_folder):
    file = vae_folder / "diffusion_pytorch_model.safetensors"
    edit_weights(file, lambda weights: weights.pop("encoder.conv_in.bias"))
    with pytest.raises(CheckpointError, match=r"its encoder does not fit: .*conv_in.bias") as error:
        load_teacher(vae_folder)
    assert is_one_line(error)
    load_decoder(vae_folder)


def test_a_diffusers_folder_without_safetensors_is_refused(vae_folder):
    (vae_folder / "diffusion_pytorch_model.safetensors").rename(vae_folder / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"has no diffusion_pytorch_model.safetensors"):
        load_decoder(vae_folder)


@pytest.mark.faults
def test_truncated_diffusers_weights_are_refused(vae_folder):
    file = vae_folder / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"cannot read .*diffusion_pytorch_model.safetensors") as error:
        load_teacher(vae_folder)
    assert is_one_line(error)


def test_a_key_this_layout_does_not_know_is_listed(vae_folder):
    file = vae_folder / "diffusion_pytorch_model.safetensors"
    edit_weights(file, lambda weights: weights.update({"decoder.surprise.weight": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"left over decoder.surprise.weight"):
        load_decoder(vae_folder)


@pytest.mark.faults
def test_weights_that_are_no_floating_point_numbers_are_named(saved):
    edit_weights(saved / "decoder.safetensors", lambda weights: weights.update(
        {key: value.long() for key, value in weights.items() if key.startswith("head")}
    ))  # fmt: skip
    with pytest.raises(CheckpointError, match=r"head\S* holds torch.int64, no floating-point numbers"):
        load_decoder(saved)


@pytest.mark.faults
@pytest.mark.parametrize(
    "change",
    [
        {"channels": 10**7, "out_channels": 10**7},
        {"num_blocks": 10**9},
        {"channels": 2**62, "out_channels": 2**62},
        {"channels": 10**400, "out_channels": 10**400},
    ],
    ids=["terabytes", "blocks", "overflow", "beyond"],
)
def test_a_spec_that_asks_for_more_memory_than_there_is_is_refused_before_any_is_taken(saved, change):
    document = json.loads((saved / "decoder.json").read_text())
    document["spec"]["stages"]["mid"].update(change)
    (saved / "decoder.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"small") as error:
        load_decoder(saved)
    assert is_one_line(error)


@pytest.mark.faults
@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": 1, "spec": ' + '{"a": ' * 100_000, "9" * 10_000])
def test_a_document_made_to_exhaust_the_reader_is_refused(saved, text):
    (saved / "decoder.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"decoder.json") as error:
        load_decoder(saved)
    assert is_one_line(error)


ENDLESS = """
import sys
from flash_vaed import save_decoder
from tests.flash_vaed.examples import random_decoder, tiny_spec
decoders = [random_decoder(tiny_spec(), seed) for seed in (1, 2)]
while True:
    for decoder in decoders:
        save_decoder(decoder, sys.argv[1])
        print("saved", flush=True)
"""


@pytest.mark.faults
def test_killed_while_saving_the_folder_holds_one_save_or_the_other(tmp_path):
    known = [random_decoder(seed=seed).state_dict() for seed in (1, 2)]
    generator = random.Random(0)
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(generator.uniform(0, 0.05))
        writer.kill()
        writer.wait()
        found = load_decoder(tmp_path).state_dict()
        assert any(all(torch.equal(found[key], one[key]) for key in found) for one in known)
