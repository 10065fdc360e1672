"""Heat maps: known evidence, a second witness, every kind of network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from protloc.apply.heat import VIEWS, as_grid, heat_maps, stage_names
from protloc.learn.lite import LiteNetwork
from protloc.learn.model import Normalisation
from protloc.learn.network import Ensemble, FieldNetwork

SIDE = 64
ONE_VIEW = VIEWS[:1]


class Spotter(nn.Module):
    """Logits that are known: the mean of the first stain, that of the second, and minus that of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.AvgPool2d(4), nn.AvgPool2d(2))

    def forward(self, images: Tensor) -> Tensor:
        """Return the three."""
        first, second = self.blocks(images).mean(dim=(2, 3)).unbind(dim=1)
        return torch.stack([first, second, -first], dim=1)


class Untold(nn.Module):
    """A network that does not tell its stages."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(2, 3)
        self.last.weight.data = torch.tensor([[1.0, 0.2], [0.2, 1.0], [-1.0, -1.0]])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the brightest pixels."""
        return self.last(images.amax(dim=(2, 3)))


def networks(*parts: nn.Module, stains: int = 2) -> Ensemble:
    members = [FieldNetwork(part, Normalisation((0.0,) * stains, (50.0,) * stains)) for part in parts]
    return Ensemble(members).eval()


def lite(seed: int = 0) -> LiteNetwork:
    """Return a network with random weights, of which the biases let something through."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = LiteNetwork(stains=2, classes=3)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 1.0, 3.0)
                nn.init.uniform_(layer.bias, -0.5, 1.0)
        return network


def token_network(pool: str) -> VisionTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        return VisionTransformer(
            img_size=SIDE, patch_size=4, in_chans=2, num_classes=3, embed_dim=16, depth=3, num_heads=2, global_pool=pool
        )


def spots() -> np.ndarray:
    """Return a field with a spot in the first stain, above left, and one in the second, below right."""
    image = np.zeros((1, 2, SIDE, SIDE), np.uint8)
    image[0, 0, 9:12, 21:24] = 200
    image[0, 1, 49:52, 41:44] = 200
    return image


def noise(fields: int = 1, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (fields, 2, SIDE, SIDE), dtype=np.uint8)


def test_the_heat_of_a_class_lies_where_its_evidence_is():
    (maps,) = heat_maps(networks(Spotter()), spots(), [[0, 1, 2]])
    assert maps.shape == (3, SIDE, SIDE)
    assert maps.dtype == np.float32
    first, second, against = maps
    assert np.unravel_index(first.argmax(), first.shape) == (10, 22)
    assert np.unravel_index(second.argmax(), second.shape) == (50, 42)
    assert first[40:].sum() == 0
    assert not against.any()  # the field only speaks against it


def test_the_light_factor_is_the_light_times_its_weight_smoothed():
    # logit 0 is the mean of stain 0: every grey level of it counts alike
    image = noise()
    ((heat,),) = heat_maps(networks(Spotter()), image, [[0]], factors=("light",))
    smooth = gaussian_filter(image[0, 0].astype(float), SIDE / 256, mode="constant", truncate=4)
    np.testing.assert_allclose(heat, smooth / smooth.max(), atol=1e-5)


def test_the_deep_factor_is_of_the_last_stage_that_is_fine_enough():
    # of grids of 16 and 8 places a side, the first tells at least 14 apart
    image = noise()
    ((heat,),) = heat_maps(networks(Spotter()), image, [[0]], factors=("deep",))
    places = image[0, 0].reshape(16, 4, 16, 4).mean(axis=(1, 3))
    middles = heat.reshape(16, 4, 16, 4)[:, 1:3, :, 1:3].mean(axis=(1, 3))
    assert np.corrcoef(places.ravel(), middles.ravel())[0, 1] > 0.97


def test_captum_finds_the_same_shares():
    from captum.attr import InputXGradient, LayerGradientXActivation

    network, image = networks(lite()), noise()
    seen = torch.from_numpy(image).float()
    for column in range(3):
        (deep,), (light,) = (
            heat_maps(network, image, [[column]], views=ONE_VIEW, factors=(factor,))[0] for factor in ("deep", "light")
        )
        inner = network.members[0].network
        of_stage = LayerGradientXActivation(network, inner.blocks[1])
        shares = of_stage.attribute(seen.clone().requires_grad_(), target=column).sum(dim=1)
        places = shares[0].clamp(min=0).detach()
        larger = nn.functional.interpolate(places[None, None], size=(SIDE, SIDE), mode="bilinear")[0, 0]
        np.testing.assert_allclose(deep, larger / larger.max(), atol=1e-4)
        of_light = InputXGradient(network).attribute(seen.clone().requires_grad_(), target=column).sum(dim=1)[0]
        smooth = gaussian_filter(of_light.detach().numpy(), SIDE / 256, mode="constant", radius=1).clip(min=0)
        np.testing.assert_allclose(light, smooth / smooth.max(), atol=1e-3)


@pytest.mark.parametrize("network", [lite(), token_network("token"), token_network("avg"), Untold()])
def test_every_kind_of_network_has_maps_of_its_own_classes(network: nn.Module):
    maps = heat_maps(networks(network), noise(2), [[0, 1, 2], [1]])
    assert [each.shape for each in maps] == [(3, SIDE, SIDE), (1, SIDE, SIDE)]
    together = np.concatenate(maps)
    assert np.isfinite(together).all()
    assert set(together.max(axis=(1, 2)).tolist()) <= {0.0, 1.0}
    assert together.min() >= 0
    assert together.any()
    assert not np.allclose(maps[0][0], maps[0][1])


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_the_tokens_of_a_transformer_have_a_say(pool: str):
    (deep,) = heat_maps(networks(token_network(pool)), noise(), [[0]], factors=("deep",))
    assert deep.any()
    assert np.ptp(deep) > 0.5


def test_a_map_does_not_depend_on_what_else_is_asked():
    network, images = networks(lite()), noise(3)
    together = heat_maps(network, images, [[2], [0, 1], []])
    assert together[2].shape == (0, SIDE, SIDE)
    for field, column, own in ((0, 2, together[0][0]), (1, 0, together[1][0]), (1, 1, together[1][1])):
        ((alone,),) = heat_maps(network, images[field : field + 1], [[column]])
        np.testing.assert_allclose(own, alone, atol=1e-3)


def test_two_equal_members_answer_as_one():
    one, two = (heat_maps(networks(*parts), noise(), [[0, 1]])[0] for parts in ((lite(),), (lite(), lite())))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_the_network_is_left_as_it_was():
    network = networks(lite())
    heat_maps(network, noise(), [[1]])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_no_field_has_no_map():
    assert heat_maps(networks(Spotter()), noise(0), []) == []


def test_stages_are_told_by_the_network():
    assert stage_names(lite())[-1] == "blocks.6"
    assert stage_names(token_network("avg")) == ["blocks.0", "blocks.1", "blocks.2"]
    assert stage_names(token_network("token")) == ["blocks.0", "blocks.1"]
    assert stage_names(Untold()) == []


def test_outputs_of_stages_are_laid_out_as_maps():
    maps = torch.arange(2 * 5 * 3 * 3.0).reshape(2, 5, 3, 3)
    tokens = torch.cat([torch.full((2, 1, 5), -1.0), maps.flatten(2).transpose(1, 2)], dim=1)
    for laid in (maps, maps.permute(0, 2, 3, 1), tokens):
        grid = as_grid(laid, fields=2)
        assert grid is not None
        assert torch.equal(grid, maps)
    assert as_grid(maps, fields=4) is None  # windows, not fields
    assert as_grid(maps[:, :, :, :2], fields=2) is None
    assert as_grid(maps[:, :, 0, 0], fields=2) is None
