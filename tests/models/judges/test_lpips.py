"""Laws of LPIPS: the official tensors, the definition once more layer by layer, a distance; its two files."""

import hashlib
from pathlib import Path

import pytest
import torch
import torchmetrics
from torch import nn
from torch.testing import assert_close

from joyvasa import weights
from joyvasa.models.judges.lpips import HEADS_FILE, TRUNK_FILE, build, load_lpips

# torchmetrics brings the official heads along, byte for byte.
OFFICIAL_HEADS = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/alex.pth"


@pytest.fixture(scope="module")
def judge():
    return load_lpips("random:0")


@pytest.fixture
def store(monkeypatch, tmp_path, capsys):
    """store(path) imports a file as by hand, and gives its path in the store."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "store"))

    def put(path):
        assert weights.main(["import", str(path), "--as", "lpips", "--unverified"]) == 0
        capsys.readouterr()
        return weights.file("lpips", path.name)

    return put


def trunk_file(judge, folder, **changes):
    """A file as torchvision's, its classifier cut down."""
    state = judge.trunk.state_dict() | {"classifier.1.weight": torch.zeros(2, 3)} | changes
    path = folder / TRUNK_FILE
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    return path


def test_tensors_are_those_of_the_official_files():
    shapes = {name: tuple(each.shape) for name, each in build().trunk.state_dict().items()}
    sizes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    assert shapes == {f"features.{n}.weight": each for n, each in sizes.items()} | {
        f"features.{n}.bias": each[:1] for n, each in sizes.items()
    }
    official = torch.load(OFFICIAL_HEADS, map_location="cpu", weights_only=True)
    assert {name: each.shape for name, each in official.items()} == {
        name: each.shape for name, each in build().heads.state_dict().items()
    }


def test_the_distance_is_the_definition_layer_by_layer(judge, noise):
    """AlexNet in torchvision's order, cut where the authors cut it."""
    trunk = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    trunk.load_state_dict({n.removeprefix("features."): each for n, each in judge.trunk.state_dict().items()})
    trunk.double()
    a, b = noise(2, 67, 50, 3), noise(2, 67, 50, 3, seed=1)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    seen = [(2 * (each.double() / 255) - 1 - shift) / scale for each in (a, b)]
    seen, expected = [each.permute(0, 3, 1, 2) for each in seen], 0
    for number, piece in enumerate((slice(0, 2), slice(2, 5), slice(5, 8), slice(8, 10), slice(10, 12))):
        seen = [trunk[piece](each) for each in seen]
        one, other = (each / torch.linalg.norm(each, dim=1, keepdim=True) for each in seen)
        weight = judge.heads.state_dict()[f"lin{number}.model.1.weight"].double()
        expected = expected + ((one - other) ** 2 * weight[0]).sum(1).mean((1, 2))
    assert_close(judge(a, b), expected.float(), rtol=1e-5, atol=1e-7)


def test_it_is_a_distance_that_grows_with_noise(judge):
    line = torch.linspace(0, 255, 64)
    picture = torch.stack([line.expand(64, 64), line.expand(64, 64).T, 255 - line.expand(64, 64)], -1)[None]
    grain = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    noisy = torch.cat([(picture + sd * grain).clamp(0, 255).byte() for sd in (0, 5, 20, 60)])
    plain = picture.byte().expand_as(noisy)
    found = judge(plain, noisy)
    assert found[0] == 0 and (found.diff() > 0).all()
    assert torch.equal(found, judge(noisy, plain))
    assert_close(judge(plain[2:3], noisy[2:3]), found[2:3])


def test_a_seed_fixes_random_weights_and_they_say_so(judge):
    assert (judge.name, judge.sha256, judge.untrained) == ("lpips", None, True)
    same, other = load_lpips("random:0").state_dict(), load_lpips("random:1").state_dict()
    assert all(torch.equal(each, same[name]) for name, each in judge.state_dict().items())
    assert not torch.equal(judge.trunk.state_dict()["features.3.weight"], other["trunk.features.3.weight"])
    assert all((each >= 0).all() for each in judge.heads.parameters())
    with pytest.raises(ValueError, match="weights of lpips: 'none' .expected weights, or random:SEED"):
        load_lpips("none")


def test_both_files_are_read(store, judge, tmp_path):
    trunk, heads = store(trunk_file(judge, tmp_path)), store(OFFICIAL_HEADS)
    read = load_lpips("weights")
    for name, tensor in read.trunk.state_dict().items():
        assert torch.equal(tensor, judge.trunk.state_dict()[name]), name
    official = torch.load(OFFICIAL_HEADS, map_location="cpu", weights_only=True)
    assert all(torch.equal(each, official[name]) for name, each in read.heads.state_dict().items())
    both = weights.sha256_of(heads) + weights.sha256_of(trunk)
    assert (read.sha256, read.untrained) == (hashlib.sha256(both.encode()).hexdigest(), False)
    assert weights.sha256_of(heads) == weights.get("lpips").file(HEADS_FILE).sha256
    assert not read.training and not any(each.requires_grad for each in read.parameters())


def test_what_is_missing_or_wrong_is_named(store, judge, tmp_path):
    store(trunk_file(judge, tmp_path, **{"features.8.bias": None}))
    with pytest.raises(FileNotFoundError, match=r"alex.pth \(absent\); type `python -m joyvasa.weights pull lpips`"):
        load_lpips("weights")
    store(OFFICIAL_HEADS)
    with pytest.raises(ValueError, match=r"alexnet.*not a Trunk.*lacks 1 tensors \(features.8.bias\).*pull lpips"):
        load_lpips("weights")
    torch.save([1], tmp_path / TRUNK_FILE)
    store(tmp_path / TRUNK_FILE)
    with pytest.raises(ValueError, match="alexnet.*no state dict of tensors.*PerceptualSimilarity.*pull lpips"):
        load_lpips("weights")


def test_pictures_that_do_not_fit_are_refused(judge, noise):
    assert judge(noise(1, 31, 31, 3), noise(1, 31, 31, 3, seed=1)).isfinite().all()
    with pytest.raises(ValueError, match="pictures of 40 x 30 .expected at least 31"):
        judge(noise(1, 30, 40, 3), noise(1, 30, 40, 3))
    with pytest.raises(ValueError, match=r"the other pictures: .1, 40, 41, 3.*expected .1, 40, 40, 3"):
        judge(noise(1, 40, 40, 3), noise(1, 40, 41, 3))
    with pytest.raises(ValueError, match="torch.uint8"):
        judge(noise(1, 40, 40, 3) / 255, noise(1, 40, 40, 3))
