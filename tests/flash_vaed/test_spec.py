"""A spec is a value: it survives JSON and pickle, hashes, and its fingerprint moves with every field."""

from __future__ import annotations

import dataclasses
import json
import pickle

import pytest
import torch

from flash_vaed import DecoderSpec, LatentSpace, StagePlan
from flash_vaed.families.wan import wan_spec
from flash_vaed.spec import FrozenMapping
from tests.flash_vaed.examples import FOUR_CHANNELS, tiny_spec


def reversed_keys(value):
    """The same JSON document with the keys of every object in the opposite order, the stages' excepted."""
    if isinstance(value, dict):
        ordered = reversed(value.items()) if "mid" not in value else value.items()
        return {key: reversed_keys(inner) for key, inner in ordered}
    return value


@pytest.mark.parametrize("spec", [wan_spec(), tiny_spec(), wan_spec(4, (1, 2), 1, (True,), FOUR_CHANNELS)])
def test_json_and_pickle_bring_back_an_equal_spec(spec):
    through_text = DecoderSpec.from_json(json.loads(json.dumps(spec.to_json())))
    for copy in (through_text, pickle.loads(pickle.dumps(spec))):
        assert copy == spec
        assert hash(copy) == hash(spec)
        assert copy.fingerprint() == spec.fingerprint()
        assert list(copy.stages) == list(spec.stages)


def test_the_fingerprint_ignores_key_order():
    document = tiny_spec().to_json()
    shuffled = reversed_keys(document)
    assert list(shuffled) != list(document)
    assert DecoderSpec.from_json(shuffled).fingerprint() == tiny_spec().fingerprint()


def variants() -> dict[str, DecoderSpec]:
    """The tiny spec with one field changed, for every field there is."""
    spec, replace = tiny_spec(), dataclasses.replace
    up2 = spec.stages["up2"]
    stage_changes = {
        "operator": "conv2d", "channels": 12, "num_blocks": 3, "upsample": "spatiotemporal", "out_channels": 6,
        "attention": True, "shortcut": "always", "skip": True, "time": "causal_replicate",
    }  # fmt: skip
    assert set(stage_changes) == {field.name for field in dataclasses.fields(StagePlan)}
    found = {field: spec.with_stages(up2=replace(up2, **{field: value})) for field, value in stage_changes.items()}
    latent_changes = {"name": "other", "mean": (0.1, -0.2, 0.3, 1e-6), "std": (1.0, 2.0, 0.5, 1.6)}
    assert set(latent_changes) == {field.name for field in dataclasses.fields(LatentSpace)}
    for field, value in latent_changes.items():
        found[f"latents.{field}"] = replace(spec, latents=replace(spec.latents, **{field: value}))
    decoder_changes = {"family": "other", "out_channels": 4, "patch": 2, "time": "centred_replicate"}
    kept = {"latents", "stages"}
    assert set(decoder_changes) | kept == {field.name for field in dataclasses.fields(DecoderSpec)}
    found |= {f"{field} of the decoder": replace(spec, **{field: v}) for field, v in decoder_changes.items()}
    found["stage order"] = replace(spec, stages=FrozenMapping(dict(reversed(list(spec.stages.items())))))
    renamed = {name.upper(): stage for name, stage in spec.stages.items()}
    found["stage names"] = replace(spec, stages=FrozenMapping(renamed))
    return found


def test_every_field_moves_the_fingerprint():
    fingerprints = {name: spec.fingerprint() for name, spec in variants().items()}
    fingerprints["unchanged"] = tiny_spec().fingerprint()
    assert len(set(fingerprints.values())) == len(fingerprints), fingerprints


def test_equal_specs_have_equal_fingerprints_whatever_the_number_type():
    whole, floats = LatentSpace("n", (0, 1), (1, 2)), LatentSpace("n", (0.0, 1.0), (1.0, 2.0))  # type: ignore[arg-type]
    ours, theirs = (dataclasses.replace(tiny_spec(), latents=latents) for latents in (whole, floats))
    assert ours == theirs
    assert ours.fingerprint() == theirs.fingerprint()


def test_a_spec_is_frozen_all_the_way_down():
    spec = tiny_spec()
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.family = "other"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.stages["mid"].channels = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        spec.stages["mid"] = spec.stages["up0"]  # type: ignore[index]


def test_a_plain_mapping_of_stages_is_copied():
    stages = dict(tiny_spec().stages)
    spec = DecoderSpec("wan", FOUR_CHANNELS, stages)  # type: ignore[arg-type]
    stages.pop("up3")
    assert "up3" in spec.stages
    assert hash(spec) == hash(tiny_spec())


def test_lists_of_statistics_become_tuples():
    assert hash(LatentSpace("n", [0.0], [1.0])) == hash(LatentSpace("n", (0.0,), (1.0,)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("family"), "family"),
        (lambda d: d.pop("stages"), "stages"),
        (lambda d: d["latents"].pop("mean"), "mean"),
        (lambda d: d["stages"]["mid"].pop("operator"), "operator"),
        (lambda d: d["stages"]["mid"].update(colour="red"), "colour"),
        (lambda d: d["stages"].update(mid=7), "mapping"),
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["latents"].update(colour="red"), "colour"),
        (lambda d: d.update(stages={}), "at least one stage"),
    ],
)
def test_a_damaged_document_is_a_value_error_that_names_the_place(damage, message):
    document = json.loads(json.dumps(tiny_spec().to_json()))
    damage(document)
    with pytest.raises(ValueError, match=message):
        DecoderSpec.from_json(document)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "at least one channel"),
        ({"num_blocks": 0}, "one block"),
        ({"upsample": "time"}, "none, spatial, spatiotemporal, not 'time'"),
        ({"shortcut": "never"}, "auto, always, not 'never'"),
        ({"out_channels": 4}, "without an upsampler"),
    ],
)
def test_an_impossible_stage_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StagePlan(**{"operator": "conv2d", "channels": 8, "num_blocks": 1, **arguments})


def test_impossible_latents_and_stages_are_refused():
    with pytest.raises(ValueError, match="as many means as deviations, not 2, 1"):
        LatentSpace("n", (0.0, 0.0), (1.0,))
    with pytest.raises(ValueError, match=r"not positive: 0.0"):
        LatentSpace("n", (0.0,), (0.0,))
    with pytest.raises(ValueError, match=r"unknown stage \['up9'\]; this decoder has mid, up0"):
        tiny_spec().with_stages(up9=StagePlan("conv2d", 1, 1))
    with pytest.raises(ValueError, match="4 up stages need 3 time_upsample flags, not 1"):
        wan_spec(time_upsample=(True,))


def test_geometry_follows_from_the_stages():
    spec = wan_spec()
    assert (spec.spatial_scale, spec.temporal_scale) == (8, 4)
    assert [spec.frames_out(t) for t in (1, 2, 22)] == [1, 5, 85]
    assert [spec.width_in(name) for name in spec.stages] == [384, 384, 192, 192, 96]
    assert [stage.width_out for stage in spec.stages.values()] == [384, 192, 192, 96, 96]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_normalize_and_denormalize_are_inverse_and_keep_the_dtype(dtype):
    latents = wan_spec().latents
    z_NCthw = torch.randn(2, 16, 3, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    unit = latents.normalize(z_NCthw)
    assert unit.dtype == dtype
    back = latents.denormalize(unit)
    torch.testing.assert_close(back.float(), z_NCthw.float(), atol=8 * torch.finfo(dtype).eps, rtol=0.02)


def test_normalize_uses_each_channels_own_statistics():
    mean = torch.tensor(FOUR_CHANNELS.mean).view(1, 4, 1, 1, 1)
    assert FOUR_CHANNELS.normalize(mean).abs().max() == 0
    assert FOUR_CHANNELS.denormalize(torch.ones(1, 4, 1, 1, 1)).flatten().tolist() == pytest.approx(
        [1.1, 1.8, 0.8, 1.5]
    )


def test_half_precision_latents_use_float32_constants():
    """In bfloat16 the constants themselves would be rounded: by up to 0.4 %."""
    latents = wan_spec().latents
    z_NCthw = torch.full((1, 16, 1, 1, 1), 3.0, dtype=torch.bfloat16)
    exact = 3.0 * torch.tensor(latents.std) + torch.tensor(latents.mean)
    assert torch.equal(latents.denormalize(z_NCthw).flatten(), exact.to(torch.bfloat16))


def test_latents_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"test latents are \(N, 4, t, h, w\), not \(1, 16, 1, 1, 1\)"):
        FOUR_CHANNELS.normalize(torch.zeros(1, 16, 1, 1, 1))
