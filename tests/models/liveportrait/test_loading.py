"""Laws of LivePortrait's files: every spelling of the official ones loads to the same, nothing else does."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch.testing import assert_close

from joyvasa import weights
from joyvasa.models.liveportrait import LivePortrait, load
from joyvasa.models.liveportrait.loading import build
from joyvasa.models.liveportrait.sizes import OFFICIAL, PARTS, SMALL
from joyvasa.models.liveportrait.state import fold_spectral, load_official

MILLIONS = {"F": 0.84, "M": 28.1, "W": 45.5, "G": 55.4}  # parameters, as published


def same(ours: LivePortrait, other: LivePortrait, parts=PARTS) -> None:
    for letter in parts:
        state = other.part(letter).state_dict()
        for name, tensor in ours.part(letter).state_dict().items():
            assert torch.equal(tensor, state[name]), (letter, name)


@pytest.mark.parametrize("species", ["human", "animal"])
def test_imported_files_are_those_of_the_folder(layout, tmp_path, monkeypatch, species, capsys):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))
    for entry in ("liveportrait", "liveportrait_animals"):
        assert weights.main(["import", str(layout), "--as", entry, "--unverified"]) == 0
    capsys.readouterr()
    stored, direct = load("weights", species, sizes=SMALL), load(layout, species, sizes=SMALL)
    same(stored, direct)
    assert stored.sha256 == direct.sha256 and set(stored.sha256) and not stored.untrained
    path = weights.file("liveportrait", "stitching_retargeting_module.pth")
    assert stored.sha256[path.name] == weights.sha256_of(path)


def test_animals_have_their_own_networks_but_the_stitching_of_people(layout):
    human, animal = (load(layout, species, sizes=SMALL) for species in ("human", "animal"))
    same(human, animal, "S")
    for letter in "FMWG":
        pairs = zip(human.part(letter).parameters(), animal.part(letter).parameters(), strict=True)
        assert any(not torch.equal(ours, theirs) for ours, theirs in pairs)


def test_the_folder_of_a_species_will_do(layout, tmp_path):
    shutil.copytree(layout / "liveportrait", tmp_path / "mine")
    same(load(tmp_path / "mine", "human", sizes=SMALL), load(layout, "human", sizes=SMALL))


@pytest.mark.parametrize("letter", "FMWG")
def test_every_spelling_loads_to_the_same(state_of, letter):
    """With the prefix of distributed training, without counters, in half precision where that loses nothing, folded."""
    state = state_of(letter)
    spellings = [
        state,
        {f"module.{name}": value for name, value in state.items()},
        {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")},
        {name: value.double() if value.is_floating_point() else value for name, value in state.items()},
        fold_spectral(state),
    ]
    first, *others = (load_official(build(letter, SMALL), spelling, "file", "next") for spelling in spellings)
    for other in others:
        for name, value in first.state_dict().items():
            assert_close(other.state_dict()[name], value)


def test_a_spectral_norm_is_folded_as_torch_applies_it():
    torch.manual_seed(0)
    layer = torch.nn.utils.spectral_norm(torch.nn.Conv2d(4, 6, 3))
    for _ in range(3):
        layer(torch.randn(1, 4, 5, 5))
    layer.eval()
    state = {f"up_0.conv_0.{name}": value for name, value in layer.state_dict().items()}
    image = torch.randn(1, 4, 5, 5)
    ours = torch.nn.functional.conv2d(image, fold_spectral(state)["up_0.conv_0.weight"], layer.bias)
    assert_close(ours, layer(image))


def test_a_wrong_file_is_named_with_what_is_wrong(layout, tmp_path, state_of, nest):
    folder = tmp_path / "liveportrait" / "base_models"
    shutil.copytree(layout / "liveportrait", tmp_path / "liveportrait")
    shutil.copyfile(folder / "spade_generator.pth", folder / "warping_module.pth")
    with pytest.raises(ValueError, match=r"warping_module.pth: not a WarpingNetwork.*lacks.*dense_motion.*surplus.*fc"):
        load(tmp_path, "human", "W", SMALL)
    with pytest.raises(ValueError, match=r"motion_extractor.pth.*another shape.*\(8, 3, 4, 4\) for \(96, 3, 4, 4\)"):
        load(tmp_path, "human", "M", OFFICIAL)
    torch.save({"retarget_eye": {}}, tmp_path / "liveportrait/retargeting_models/stitching_retargeting_module.pth")
    with pytest.raises(ValueError, match="retarget_shoulder, retarget_mouth.*weights pull liveportrait"):
        load(tmp_path, "human", "S", SMALL)
    torch.save([1, 2], folder / "motion_extractor.pth")
    with pytest.raises(ValueError, match="motion_extractor.pth.*state dict"):
        load(tmp_path, "human", "M", SMALL)
    (folder / "spade_generator.pth").write_text("not weights")
    with pytest.raises(ValueError, match="spade_generator.pth"):
        load(tmp_path, "human", "G", SMALL)


def test_what_is_missing_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="weights pull liveportrait_animals"):
        load("weights", "animal", "F")
    with pytest.raises(FileNotFoundError, match="weights pull liveportrait`"):
        load("weights", "animal", "S")
    with pytest.raises(FileNotFoundError, match=r"liveportrait/base_models/motion_extractor.pth.*weights pull"):
        load(tmp_path, "human", "M")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load(tmp_path / "nowhere", "human", "M")


def test_only_the_parts_asked_for_are_there():
    alone, whole = load("random:0:small", "human", "M"), load("random:0:small", "human")
    same(alone, whole, "M")
    assert list(alone.networks) == ["M"]
    with pytest.raises(ValueError, match=r"parts M and lacks G"):
        alone.part("G")
    for parts in ("X", ()):
        with pytest.raises(ValueError, match="choose from F, M"):
            load("random:0:small", "human", parts)


def test_a_seed_fixes_random_weights():
    same(load("random:3:small", "human"), load("random:3:small", "animal"))
    one, two = (load(f"random:{seed}:small", "human").part("G").fc.weight for seed in (0, 1))
    assert not torch.equal(one, two)
    assert load("random:3:small", "human").untrained and load("random:3:small", "human").sha256 is None
    for which in ("random", "random:x", "random:1:tiny"):
        with pytest.raises(ValueError, match="random:SEED"):
            load(which, "human")
    with pytest.raises(ValueError, match="choose from human, animal"):
        load("random:0:small", "cat")


def test_official_sizes_are_the_published_ones():
    for letter, millions in MILLIONS.items():
        count = sum(each.numel() for each in build(letter, OFFICIAL).parameters())
        assert count / 1e6 == pytest.approx(millions, rel=0.01)
    assert (OFFICIAL.input_px, OFFICIAL.output_px, OFFICIAL.feature) == (256, 512, (32, 16, 64, 64))
