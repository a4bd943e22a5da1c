"""Protocols: any parameter changes the hash, nothing else does, and published ones stay as they were published."""

from __future__ import annotations

import inspect
import json
import types
from dataclasses import fields, is_dataclass, make_dataclass, replace
from typing import Union, get_args, get_origin, get_type_hints

import pytest

from joyvasa import weights
from joyvasa.eval import protocol_hash, protocols
from joyvasa.eval.frechet import FrechetDistance
from joyvasa.eval.frechet_infinity import FrechetInfinity
from joyvasa.eval.identity import FaceFollower
from joyvasa.eval.kernel_distance import KernelDistance
from joyvasa.eval.protocol_hash import (
    DecodePath,
    Protocol,
    Record,
    comparable,
    environment,
    environment_warnings,
    hash_of,
    plain,
    short,
)
from joyvasa.eval.protocols import IN_MEMORY, PROTOCOLS
from joyvasa.models.judges.loading import build

SHA = "0123456789abcdef" * 4
# The first twelve digits with SHA for every network and IN_MEMORY: a change of a published way has to be meant. Raise
# `revision`, or give the new way a new name.
PUBLISHED = {
    "syncnet": "6a820d589575",
    "wav2lip-real": "6fb3a848ab98",
    "wav2lip-lrs": "cdec4dc1f1b1",
    "latentsync": "0fef7fd92953",
    "syncnet-masked": "f66cd8294e1f",
    "wav2lip-real-masked": "644ffc5fecdb",
    "wav2lip-lrs-masked": "78bdf4f8e075",
    "latentsync-masked": "9808179b1d9a",
    "fid": "c9dafa5cf27c",
    "fid-infinity": "2a571e1debfd",
    "kid": "29bbde6a25ef",
    "stylegan-v-16": "9be373b7c9ad",
    "stylegan-v-128": "87f2f22d3cf9",
    "stylegan-v-128-by-8": "2f317f56bf45",
    "tats-16": "b4d3f984a6b8",
    "piergiaj-16": "276b60ff26ad",
    "fvd-infinity-16": "f4059b0697ee",
    "kvd-16": "8ef2fdab6d1c",
    "csim": "4d2ce6be8f36",
    "psnr": "6ac62ca6e602",
    "ssim": "694f3c74ac1d",
    "lpips": "d6406f5dcfbd",
    "motion": "6936fd69138d",  # closeness and beats came in; the scores of 3441bd9f9ca6 have the values they had
}


def trained(protocol: Protocol) -> dict[str, str]:
    return {network.key: SHA for network in protocol.networks}


def digest(protocol: Protocol) -> str:
    return protocol.hash(trained(protocol), IN_MEMORY)


def other(value: object, hint: object) -> object:
    """A value of the same field that is another one."""
    if value is None:
        (hint,) = [each for each in get_args(hint) if each is not type(None)]
        known = {int: 1, float: 1.0, str: "x"}
        found = [each for each in vars(protocols).values() if is_dataclass(hint) and isinstance(each, hint)]
        return found[0] if found else known[hint]
    if isinstance(value, tuple):
        return value[:-1]
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else value + 2


def changes(record: object):
    """(path of a field, the record with that field alone changed), for every field of it and of the records in it."""
    hints = get_type_hints(type(record))
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            for path, changed in changes(value):
                yield f"{field.name}.{path}", replace(record, **{field.name: changed})
            if get_origin(hints[field.name]) in (Union, types.UnionType):
                yield field.name, replace(record, **{field.name: None})
        else:
            yield field.name, replace(record, **{field.name: other(value, hints[field.name])})


@pytest.mark.parametrize("name", PROTOCOLS)
def test_any_single_parameter_changes_the_hash_and_is_named(name):
    protocol = PROTOCOLS[name]
    own, hashes, paths = protocol.stamp(trained(protocol), IN_MEMORY), {digest(protocol)}, []
    for path, changed in changes(protocol):
        paths.append(path)
        hashes.add(digest(changed))
        reasons = comparable(own, changed.stamp(trained(changed), IN_MEMORY))
        assert any(reason.startswith(f"protocol.{path}: ") for reason in reasons), path
    assert len(paths) >= len(fields(protocol)) and len(hashes) == len(paths) + 1


def test_weights_seed_and_decode_path_change_the_hash():
    protocol = PROTOCOLS["csim"]
    first, second = trained(protocol)
    hashes = [digest(protocol), digest(replace(protocol, revision=2))]
    hashes += [protocol.hash({first: said, second: SHA}, IN_MEMORY) for said in ("random:0", "random:1", SHA[::-1])]
    hashes += [protocol.hash({first: SHA, second: "random:0"}, IN_MEMORY)]
    hashes += [protocol.hash(trained(protocol), changed) for _, changed in changes(IN_MEMORY)]
    assert len(set(hashes)) == len(hashes) == 6 + len(fields(DecodePath))


def test_order_of_fields_and_weights_and_a_results_file_change_nothing():
    protocol = PROTOCOLS["csim"]
    forth = trained(protocol)
    back = dict(reversed(forth.items()))
    assert list(back) != list(forth) and protocol.hash(back, IN_MEMORY) == digest(protocol)
    named = [(field.name, field.type) for field in fields(DecodePath)]
    turned = make_dataclass("DecodePath", reversed(named), bases=(Record,), frozen=True, kw_only=True)
    again = turned(**{name: getattr(IN_MEMORY, name) for name, _ in named})
    assert protocol.hash(forth, again) == digest(protocol)
    for each in PROTOCOLS.values():
        stamp = each.stamp(trained(each), IN_MEMORY)
        read = json.loads(json.dumps(stamp, indent=1))
        assert hash_of(read) == digest(each) and comparable(read, stamp) == []


def test_equal_records_have_equal_hashes():
    whole, real = (replace(PROTOCOLS["psnr"], data_range=value) for value in (255, 255.0))
    assert whole == real and digest(whole) == digest(real)
    positive, negative = (replace(PROTOCOLS["csim"], absent=value) for value in (0.0, -0.0))
    assert positive == negative and digest(positive) == digest(negative)
    assert digest(replace(PROTOCOLS["psnr"], data_range=255.00000000000003)) != digest(real)
    rule = PROTOCOLS["syncnet"].rule
    same = replace(PROTOCOLS["syncnet"], rule=replace(rule, smallest_px=float(rule.smallest_px)))
    assert same == PROTOCOLS["syncnet"] and digest(same) == digest(PROTOCOLS["syncnet"])


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("syncnet", "max_shift", True), ("syncnet", "max_shift", 15.0), ("syncnet", "eps", "1e-6"),
     ("syncnet", "eps", float("nan")), ("syncnet", "rule", 3), ("fid", "root", None), ("motion", "lips", [1, 2]),
     ("motion", "lips", (1, "2"))],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name, field, value):
    with pytest.raises(ValueError, match=rf"{field}: .* \(expected "):
        replace(PROTOCOLS[name], **{field: value})


def test_weights_that_do_not_belong_are_refused():
    fid = PROTOCOLS["fid"]
    (key,) = trained(fid)
    for wrong in ({}, {key: SHA, "i3d/x": SHA}, {"fid": SHA}):
        with pytest.raises(ValueError, match="expected of"):
            fid.hash(wrong, IN_MEMORY)
    for wrong in ("", SHA[1:], SHA.upper(), "random:", "random:01", "random:-1", "weights"):
        with pytest.raises(ValueError, match="sha256 or random:SEED"):
            fid.hash({key: wrong}, IN_MEMORY)
    with pytest.raises(ValueError, match="expected of nothing"):
        PROTOCOLS["psnr"].hash({key: SHA}, IN_MEMORY)


def test_a_column_says_when_a_judge_is_untrained():
    fvd, csim, psnr = (PROTOCOLS[name] for name in ("stylegan-v-16", "csim", "psnr"))
    assert fvd.column(trained(fvd)) == "fvd/stylegan-v-16"
    assert fvd.column({fvd.network.key: "random:0"}) == "fvd/stylegan-v-16-untrained"
    assert csim.column({**trained(csim), csim.network.key: "random:3"}) == "csim-untrained"
    assert psnr.column({}) == "psnr"


def test_reasons_name_the_field_and_both_values():
    syncnet, latentsync = (PROTOCOLS[name] for name in ("syncnet", "latentsync"))
    one, two = (each.stamp(trained(each), IN_MEMORY) for each in (syncnet, latentsync))
    reasons = comparable(one, two)
    assert "protocol.rule.min_track: 100 and 50" in reasons and "protocol.name: 'syncnet' and 'latentsync'" in reasons
    lrs = PROTOCOLS["wav2lip-lrs"]
    assert "protocol.detection: Detection and None" in comparable(one, lrs.stamp(trained(lrs), IN_MEMORY))
    assert any(each.startswith("weights.s3fd/") for each in comparable(one, lrs.stamp(trained(lrs), IN_MEMORY)))
    assert comparable(one, syncnet.stamp(trained(syncnet), IN_MEMORY)) == []


def test_the_environment_warns_and_is_not_hashed(monkeypatch):
    here = plain(environment())
    assert json.loads(json.dumps(here)) == here and environment_warnings(here, plain(environment())) == []
    monkeypatch.setattr(protocol_hash, "_version", lambda name: "9.9" if name == "numpy" else protocol_hash.ABSENT)
    before = digest(PROTOCOLS["fid"])
    there = plain(replace(environment(), python="2.7"))
    warned = environment_warnings(here, there)
    assert len(warned) == 2 and warned[0].endswith("and '2.7'") and "numpy 9.9" in warned[1]
    assert digest(PROTOCOLS["fid"]) == before


def test_another_detector_gives_another_name():
    syncnet = protocols.get("syncnet")
    for detection in (protocols.SCRFD, protocols.HAAR):
        seen = protocols.seen_by(syncnet, detection)
        assert seen.name == f"syncnet@{detection.detector}" and seen.rule == syncnet.rule and seen.cuts != syncnet.cuts
        assert digest(seen) != digest(syncnet)
    lrs = protocols.get("wav2lip-lrs")
    assert protocols.seen_by(lrs, protocols.SCRFD) is lrs


def test_masked_ways_differ_by_their_ends_alone():
    for each in protocols.REFERENCE_SYNC:
        masked = PROTOCOLS[f"{each.name}-masked"]
        assert replace(masked, name=each.name, ends="zeros") == each


def test_names_are_distinct_and_an_unknown_one_lists_them():
    assert all(protocol.name == name for name, protocol in PROTOCOLS.items())
    assert len({digest(each) for each in PROTOCOLS.values()}) == len(PROTOCOLS)
    with pytest.raises(ValueError, match="choose from syncnet, wav2lip-real, wav2lip-lrs, latentsync"):
        protocols.get("sync")


def test_networks_are_those_of_the_registry_and_of_the_judges():
    networks = {network for each in PROTOCOLS.values() for network in each.networks}
    for network in networks:
        assert set(network.files) <= {file.name for file in weights.get(network.entry).files}
    for protocol in (protocols.STYLEGAN_V_16, protocols.PIERGIAJ_16, protocols.FID, protocols.SYNCNET_PROTOCOL):
        judge = build(protocol.network.entry)
        norms = {module.eps for module in judge.modules() if type(module).__name__.startswith("BatchNorm")}
        assert norms == {protocol.network.norm_eps}


@pytest.mark.parametrize(
    ("built", "records"),
    [(FrechetDistance, (protocols.FID,)), (FrechetInfinity, (protocols.FID_INFINITY, protocols.FID)),
     (KernelDistance, (protocols.KID,)), (FaceFollower, (protocols.CSIM,))],
)  # fmt: skip
def test_every_parameter_of_a_metric_is_a_field(built, records):
    asked = set(inspect.signature(built).parameters) - {"kwargs", "features"}  # features: of the network
    assert asked <= {field.name for record in records for field in fields(record)}


def test_published_ways_are_as_they_were():
    assert {name: short(digest(PROTOCOLS[name])) for name in PUBLISHED} == PUBLISHED
    assert set(PUBLISHED) >= {"syncnet", "wav2lip-real", "wav2lip-lrs", "latentsync", "stylegan-v-16", "fid", "csim"}
