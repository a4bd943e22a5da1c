"""Judges come from the registry's file, whole and unchanged, or say what is missing; or from a seed."""

import pytest
import torch

from joyvasa import weights
from joyvasa.models.judges import load
from joyvasa.models.judges.loading import JUDGES, build
from joyvasa.weight_entries import get


@pytest.fixture
def store(monkeypatch, tmp_path, capsys):
    """store(entry, state) imports a file with these tensors, as by hand; its path in the store comes back."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "store"))

    def put(entry, state):
        (file,) = get(entry).files
        source = tmp_path / file.name
        torch.save(state, source)
        assert weights.main(["import", str(source), "--as", entry, "--unverified"]) == 0
        capsys.readouterr()
        return weights.file(entry, file.name)

    return put


@pytest.mark.parametrize("counters", [True, False])
def test_a_file_loads_with_and_without_counters(store, counters):
    drawn = load("syncnet", "random:3")
    state = {name: each for name, each in drawn.state_dict().items() if counters or "num_batches" not in name}
    path = store("syncnet", state)
    judge = load("syncnet", "weights")
    assert (judge.name, judge.sha256, judge.untrained) == ("syncnet", weights.sha256_of(path), False)
    assert not judge.training and not any(each.requires_grad for each in judge.parameters())
    for name, tensor in judge.state_dict().items():
        assert torch.equal(tensor, drawn.state_dict()[name]), name


def test_a_file_of_another_network_is_named_with_what_is_wrong(store):
    state = load("syncnet", "random:0").state_dict()
    path = store("i3d", state)
    with pytest.raises(ValueError, match=rf"{path}: not a I3D.*lacks 287.*surplus 88.*weights pull i3d"):
        load("i3d", "weights")
    del state["netfcaud.3.bias"]
    store("syncnet", state)
    with pytest.raises(ValueError, match="syncnet_v2.model.*lacks 1 tensors .netfcaud.3.bias"):
        load("syncnet", "weights")
    store("inception", {"model": state})
    with pytest.raises(ValueError, match="no state dict of tensors.*mseitzer/pytorch-fid.*weights pull inception"):
        load("inception", "weights")


@pytest.mark.parametrize("name", JUDGES)
def test_what_is_missing_names_the_command(monkeypatch, tmp_path, name):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"weights pull {name}`"):
        load(name, "weights")


def test_a_seed_fixes_random_weights():
    one, same, other = (load("syncnet", f"random:{seed}") for seed in (4, 4, 5))
    assert (one.name, one.sha256, one.untrained) == ("syncnet", None, True)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.netfcaud[3].weight, other.netfcaud[3].weight)
    norm = one.netcnnlip[1]
    assert (norm.running_var > 1).all() and norm.running_mean.std() > 0 and norm.weight.std() > 0


@pytest.mark.parametrize("which", ["random", "random:x", "random:1:small", "none", ""])
def test_another_source_is_refused(which):
    with pytest.raises(ValueError, match="weights of syncnet.*expected weights, or random:SEED"):
        load("syncnet", which)


def test_the_entry_decides_the_norms():
    assert (build("i3d").Mixed_3b.b0.bn.eps, build("i3d_videogpt").Mixed_3b.b0.bn.eps) == (1e-3, 1e-5)
    with pytest.raises(ValueError, match="judge 'arcface': choose from syncnet, i3d"):
        build("arcface")
