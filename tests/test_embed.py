"""Embeddings: what the last layer takes, of folders and stores, with labels, on a map."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from protloc.apply.embed import embeddings, model_hash
from protloc.apply.embedded import Embedded, embed_fields, has_compartments
from protloc.apply.maps import field_map, principal_components
from protloc.apply.network_eye import look
from protloc.apply.see import see
from protloc.atlas.photographs import photographs_of
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.table import read_labels
from protloc.errors import BundleError, ImageError, SettingsError, TableError
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, ensemble
from protloc.learn.lite import LITE_BACKBONE
from protloc.learn.model import Normalisation
from protloc.learn.network import FieldNetwork

SIDE = 32


def untrained(tiny_world, backbone: str = "baseline-cnn", *, seed: int = 3) -> Bundle:
    """Return a network with random weights: what it makes of fields is as good as any to be written down."""
    settings = {"stain_dropout": 0.5, "protein_stain": "green", "seed": 3}
    return tiny_world.untrained(backbone, seed=seed, settings=settings)


@pytest.fixture(scope="module")
def bundle(tiny_world) -> Bundle:
    return untrained(tiny_world)


@pytest.mark.parametrize(
    ("backbone", "last", "dimensions"),
    [
        (LITE_BACKBONE, "classifier", 1280),
        ("baseline-cnn", "head.7", 128),
        ("resnet18", "fc", 512),
        ("vit_tiny_patch16_224", "head", 192),
    ],
)
def test_the_last_layer_makes_the_logits_of_the_embeddings(tiny_world, backbone, last, dimensions):
    of_it = untrained(tiny_world, backbone)
    images = tiny_world.store.images(np.arange(5))
    found = embeddings(of_it, [images[:3], images[3:]])
    assert found.shape == (5, dimensions)
    assert found.dtype == np.float32
    state = of_it.members[0].state
    logits = found @ state[f"{last}.weight"].numpy().T + state[f"{last}.bias"].numpy()
    np.testing.assert_allclose(logits, see(of_it, [images]).logits[0], atol=1e-4)


@pytest.mark.parametrize("backbone", ["resnet18", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_embeddings_are_what_timm_calls_features_before_the_logits(tiny_world, backbone):
    network = build_network(backbone, stains=4, classes=3, side=SIDE).eval()
    images = torch.from_numpy(tiny_world.store.images(np.arange(3)))
    both = FieldNetwork(network, Normalisation((0.0,) * 4, (1.0,) * 4))
    with torch.inference_mode():
        logits, found = look(SimpleNamespace(members=[both]), images)  # pyright: ignore[reportArgumentType]
        expected = network.forward_head(network.forward_features(images.float()), pre_logits=True)
        np.testing.assert_array_equal(logits[0], both(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_look_leaves_no_ear_behind(bundle, tiny_store):
    network = bundle.network()
    with torch.inference_mode():
        for _ in range(2):
            assert look(network, torch.from_numpy(tiny_store.images([0])))[1].shape == (1, 128)
    assert not any(layer._forward_pre_hooks for layer in network.modules())


def test_embeddings_of_an_ensemble_stand_one_after_another(tiny_world, bundle):
    other = untrained(tiny_world, seed=4)
    images = tiny_world.store.images(np.arange(4))
    pair = ensemble([bundle, other], rule=AnswerRule.plain(3))
    apart = [embeddings(each, [images]) for each in (bundle, other)]
    np.testing.assert_allclose(embeddings(pair, [images]), np.hstack(apart), atol=1e-5)


def test_no_field_has_no_embedding_but_as_many_dimensions(bundle):
    assert embeddings(bundle, []).shape == (0, 128)


def test_a_model_is_known_by_its_weights_wherever_it_lies(tiny_world, bundle, tmp_path):
    bundle.save(tmp_path / "bundle")
    read = Bundle.load(tmp_path / "bundle")
    assert model_hash(read) == model_hash(bundle)
    assert model_hash(replace(read, caution="Learnt from drawings.")) == model_hash(bundle)
    assert model_hash(untrained(tiny_world, seed=4)) != model_hash(bundle)
    brighter = replace(bundle.members[0], normalisation=Normalisation((11.0,) * 4, (20.0,) * 4))
    assert model_hash(replace(bundle, members=(brighter,))) != model_hash(bundle)


def test_a_folder_is_embedded_like_the_store_made_of_it(bundle, tiny_world):
    labels = read_labels(tiny_world.labels, tiny_world.vocabulary)
    of_folder = embed_fields(bundle, tiny_world.images, labels=labels)
    of_store = embed_fields(bundle, tiny_world.store.folder)
    assert of_folder.ids == of_store.ids == tiny_world.store.ids
    np.testing.assert_allclose(of_folder.embeddings, of_store.embeddings, atol=1e-5)
    assert of_folder.labels == of_store.labels
    assert of_folder.model == of_store.model == model_hash(bundle)
    # write_world labels field n with the bits of n % 7
    assert of_store.labels[:4] == ((), ("Disc",), ("Ring",), ("Disc", "Ring"))
    np.testing.assert_array_equal(of_store.targets, tiny_world.store.targets)
    assert of_store.known.all()
    assert of_store.stains == ("red", "green", "blue", "yellow")


def test_without_a_table_labels_are_unknown_and_with_one_some_may_be(bundle, tiny_world, tmp_path):
    bare = embed_fields(bundle, tiny_world.images)
    assert set(bare.labels) == {None}
    assert not bare.targets.any()
    (tmp_path / "some.csv").write_text("Id,Target\nf003,2\nf000,\nelsewhere,1\n")
    some = embed_fields(bundle, tiny_world.images, labels=read_labels(tmp_path / "some.csv", tiny_world.vocabulary))
    assert some.labels[:5] == ((), None, None, ("Bars",), None)
    assert some.known.sum() == 2


def test_a_table_of_other_fields_is_refused_before_a_field_is_embedded(bundle, tiny_world, tmp_path, monkeypatch):
    monkeypatch.setattr("protloc.apply.embedded.embeddings", lambda *_: pytest.fail("embedded"))
    (tmp_path / "other.csv").write_text("Id,Target\nx1,2\n")
    other = read_labels(tmp_path / "other.csv", tiny_world.vocabulary)
    with pytest.raises(TableError, match=r"none of 1 ids stands for a field here, such as 'f000'; .* is 'x1'. Give"):
        embed_fields(bundle, tiny_world.images, labels=other)


def test_tiles_have_the_labels_of_their_field(bundle, tiny_world):
    labels = read_labels(tiny_world.labels, tiny_world.vocabulary)
    tiles = embed_fields(bundle, tiny_world.images, labels=labels, reading=Reading(tile=16))
    assert tiles.ids[4:9] == ("f001.r0c0", "f001.r0c1", "f001.r1c0", "f001.r1c1", "f002.r0c0")
    assert tiles.labels[4:9] == (("Disc",),) * 4 + (("Ring",),)
    with pytest.raises(SettingsError, match=r"--tile: .* is a store, whose fields are cut already"):
        embed_fields(bundle, tiny_world.store.folder, reading=Reading(tile=16))


def test_a_rejected_field_has_no_embedding(bundle, tiny_world, tmp_path):
    images = shutil.copytree(tiny_world.images, tmp_path / "images")
    (images / "f001_green.png").write_bytes(b"not an image")
    labels = read_labels(tiny_world.labels, tiny_world.vocabulary)
    found = embed_fields(bundle, images, labels=labels)
    assert found.ids[:3] == ("f000", "f002", "f003")
    assert found.labels[:3] == ((), ("Ring",), ("Disc", "Ring"))
    assert len(found) == len(found.embeddings) == 83
    assert found.rejected["id"].tolist() == ["f001"]
    for file in images.glob("*_green.png"):
        file.write_bytes(b"not an image")
    with pytest.raises(ImageError, match="none of 84 fields can be read"):
        embed_fields(bundle, images)


def test_some_stains_of_a_store_may_be_looked_at(bundle, tiny_world):
    green = embed_fields(bundle, tiny_world.store.folder, stains=HPA_STAINS[1:2])
    assert green.stains == ("green",)
    images = tiny_world.store.images(np.arange(84))
    images[:, [0, 2, 3]] = 0
    np.testing.assert_allclose(green.embeddings, embeddings(bundle, [images]), atol=1e-5)
    with pytest.raises(BundleError, match=r"asked for blue, .* needs green"):
        embed_fields(bundle, tiny_world.store.folder, stains=HPA_STAINS[2:3])


def test_a_clean_store_is_photographed(bundle, tiny_world, monkeypatch):
    clean = replace(tiny_world.store, clean=True)
    monkeypatch.setattr("protloc.apply.embedded.Store.open", lambda _folder: clean)
    found = embed_fields(bundle, tiny_world.store.folder).embeddings
    photographs = photographs_of(clean, np.arange(84), seed=3)
    np.testing.assert_allclose(found, embeddings(bundle, [photographs]), atol=1e-5)


def test_a_store_of_other_classes_keeps_its_own(bundle, tiny_world):
    named = [replace(entry, name=entry.name.upper()) for entry in bundle.vocabulary.compartments]
    other = replace(bundle, vocabulary=replace(bundle.vocabulary, compartments=tuple(named)))
    found = embed_fields(other, tiny_world.store.folder)
    assert found.vocabulary == bundle.vocabulary
    assert found.labels[1] == ("Disc",)


def test_label_sets_as_an_array_by_hand():
    found = has_compartments([("b",), None, (), ("a", "c")], ("a", "b", "c"))
    assert found.astype(int).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1]]


def test_principal_components_are_those_of_a_reference(monkeypatch):
    monkeypatch.setattr("protloc.apply.maps.BLOCK", 7)
    generator = np.random.default_rng(0)
    cloud = (generator.normal(size=(40, 6)) * [5, 4, 3, 2, 1, 0.5] + 3).astype(np.float32)
    found, shares = principal_components(cloud)
    reference = PCA(svd_solver="full").fit(cloud)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(cloud)), atol=1e-4)
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, atol=1e-6)


def test_principal_components_of_a_hand_worked_case():
    # along (3, 4) / 5 the points lie at -5, 0, 5; across they do not differ
    found, shares = principal_components(np.array([[0, 0], [3, 4], [6, 8]], np.float32))
    np.testing.assert_allclose(found, [[-5, 0], [0, 0], [5, 0]], atol=1e-6)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)


@pytest.mark.parametrize("fields", [1, 2])
def test_few_or_equal_fields_have_a_place(fields):
    found, shares = principal_components(np.ones((fields, 5), np.float32))
    assert found.tolist() == [[0, 0]] * fields
    assert shares.tolist() == [0, 0]


def test_the_map_is_made_of_the_first_two_components_where_umap_is_not_installed(monkeypatch):
    monkeypatch.setattr("protloc.apply.maps.find_spec", lambda _name: None)
    cloud = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    made = field_map(cloud)
    assert made.method == "PCA"
    np.testing.assert_array_equal(made.places, made.components[:, :2])
    assert made.components.shape == (30, 5)


def test_the_map_is_of_directions_as_neighbours_are(monkeypatch):
    monkeypatch.setattr("protloc.apply.maps.find_spec", lambda _name: None)
    cloud = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    longer = cloud * np.arange(1, 31, dtype=np.float32)[:, None]
    np.testing.assert_allclose(field_map(longer).places, field_map(cloud).places, atol=1e-5)


def test_umap_is_given_the_components_and_the_seed(monkeypatch):
    asked = {}

    class Umap:
        def __init__(self, **options: object) -> None:
            asked.update(options)

        def fit_transform(self, components: NDArray[np.float32]) -> NDArray[np.float64]:
            asked["given"] = components
            return components[:, 2:4].astype(np.float64)

    monkeypatch.setattr("protloc.apply.maps.find_spec", lambda _name: object())
    monkeypatch.setattr("protloc.apply.maps.import_module", lambda _name: SimpleNamespace(UMAP=Umap))
    cloud = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    made = field_map(cloud, seed=5)
    assert (made.method, asked["random_state"], made.places.dtype) == ("UMAP", 5, np.float32)
    np.testing.assert_array_equal(asked["given"], made.components)
    assert field_map(cloud[:10]).method == "PCA"  # too few to have 15 neighbours each


def test_an_embedded_set_says_what_it_knows(tiny_world):
    made = Embedded(
        ("a", "b"), np.zeros((2, 3), np.float32), (None, ("Ring",)), tiny_world.vocabulary, "m", ("green",)
    )  # fmt: skip
    assert len(made) == 2
    assert made.known.tolist() == [False, True]
    assert made.targets.tolist() == [[False] * 3, [False, True, False]]
    assert made.rejected.empty
