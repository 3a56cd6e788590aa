"""The hash of a run sees every field that decides a result, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest

from bench.records import check_run_id
from bench.spec import HostChoice, Prompts
from tests.bench.examples import SPEC

SPEC = replace(
    SPEC, host=HostChoice("tiny_wan", None, 17, 96, 96, 4, 1.0, 16), prompts=Prompts(("a cat",), "a file", 3, 2, "f")
)


def changed(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str) or value is None:
        return f"{value}x"
    if isinstance(value, tuple):
        return value[:-1]
    return value + 1


def one_field_changes(part):
    """`part` with one leaf changed, for every leaf."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from (
                (f"{field.name}.{name}", replace(part, **{field.name: new})) for name, new in one_field_changes(value)
            )
        else:
            yield field.name, replace(part, **{field.name: changed(value)})


CHANGES = dict(one_field_changes(SPEC))


@pytest.mark.faults
@pytest.mark.parametrize("field", CHANGES)
def test_every_field_but_where_data_lies_changes_the_hash(field):
    assert (CHANGES[field].digest() == SPEC.digest()) == (field in ("data.root", "distill.latents", "prompts.file"))


@pytest.mark.faults
def test_the_order_of_stages_and_metrics_in_a_file_does_not_change_the_hash():
    twin = replace(SPEC, plan=SPEC.plan[::-1], metrics=SPEC.metrics[::-1])
    assert twin.digest() == SPEC.digest()
    assert twin.canonical() == SPEC.canonical()


def test_canonical_json_is_plain_sorted_and_complete():
    document = json.loads(SPEC.canonical())
    assert list(document) == sorted(document)
    assert document["plan"]["up3"] == {"operator": "conv2d", "prune": True, "channels": None}
    assert document["metrics"] == {"psnr": "1", "ssim": "1"}
    assert document["distill"]["phases"] == ["align"]
    assert document["distill"]["plans"] == {"align": {"steps": 100, "motion": 0.1}}
    assert document["distill"]["steps"] == 100
    assert document["prune"]["ratio"] == 0.25


def test_run_id_is_a_safe_file_name_and_tells_devices_apart():
    assert check_run_id(SPEC.run_id("cpu-1234"))
    assert SPEC.run_id("cpu-1234") != SPEC.run_id("cuda-1234")


@pytest.mark.parametrize("field", CHANGES)
def test_protocol_is_how_decoders_are_judged_not_what_is_judged(field):
    judged = {
        "data.source", "data.evaluate", "data.max_clips", "data.frames", "data.size", "data.stride", "data.start",
        "data.evaluate_fingerprint", "metrics", "timing.frames", "timing.height", "timing.width", "teacher.fingerprint",
    }  # fmt: skip
    generated = field.startswith(("host.", "prompts.")) and field != "prompts.file"
    assert (CHANGES[field].protocol_id() != SPEC.protocol_id()) == (field in judged or generated)


def test_a_checkpoint_is_known_by_its_weights_and_not_by_where_it_lies():
    here, there, other = (
        replace(SPEC, arms=(replace(SPEC.arms[0], decoder=path, fingerprint=weights),))
        for path, weights in (("a", "1"), ("b", "1"), ("a", "2"))
    )
    assert here.digest() == there.digest() != other.digest()


def test_what_came_later_is_left_out_where_it_is_not_used():
    plain = replace(SPEC, host=None, prompts=None).to_json()
    assert not {"host", "prompts"} & set(plain)
    assert not any("fingerprint" in arm for arm in plain["arms"].values())


def test_a_spec_can_be_a_key_and_cannot_be_changed():
    assert len({SPEC, replace(SPEC), replace(SPEC, seed=1)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPEC.seed = 1
