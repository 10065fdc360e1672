"""Searching hashes: as good as comparing all with all, at a bounded cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from protloc.curate import bands
from protloc.curate.bands import BANDS, CHAIN, Candidates, search
from protloc.curate.hashes import BITS, MARK, POSES, differing_bits, posed_hashes


def strangers(number: int, *, stains: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**64, size=(number, stains), dtype=np.uint64) | MARK


def repeats(hashes: np.ndarray, *, unlike: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes turned by chance with some bits inverted, and the poses that turn them back to look alike."""
    generator = np.random.default_rng(seed)
    noise = np.zeros(hashes.shape, np.uint64)
    for place in range(1, BITS + 1):
        noise |= (generator.random(hashes.shape) < unlike).astype(np.uint64) << np.uint64(place)
    poses = generator.integers(POSES, size=len(hashes))
    turned = posed_hashes(hashes, poses[:, None])
    back = [
        next(p for p in range(POSES) if (posed_hashes(t, p) == h).all()) for t, h in zip(turned, hashes, strict=True)
    ]
    return turned ^ noise, np.array(back)


def brute_force(hashes: np.ndarray, within: float) -> set[tuple[int, int, int]]:
    first, second = np.triu_indices(len(hashes), 1)
    found = set()
    for pose in range(POSES):
        shares = differing_bits(hashes[first], hashes[second], poses=np.full(len(first), pose))
        found |= {
            (int(a), int(b), pose) for a, b in zip(first[shares <= within], second[shares <= within], strict=True)
        }
    return found


def rows_of(found: Candidates) -> list[tuple[int, int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), found.poses.tolist(), strict=True))


@pytest.mark.parametrize("stains", [1, 2, 4, 8])
def test_it_finds_what_comparing_all_finds(stains: int) -> None:
    originals = strangers(150, stains=stains)
    hashes = np.concatenate([originals, repeats(originals, unlike=0.07)[0]])
    expected, found = brute_force(hashes, 0.2), rows_of(search(hashes, within=0.2))
    assert len(expected) >= 148
    assert set(found) <= expected
    assert len(found) >= 0.98 * len(expected)


def test_it_tells_the_pose_and_the_share_of_differing_bits() -> None:
    originals = strangers(64)
    turned, back = repeats(originals, unlike=0.0)
    found = search(np.concatenate([originals, turned]))
    assert found.first.tolist() == list(range(64))
    assert found.second.tolist() == list(range(64, 128))
    assert found.poses.tolist() == back.tolist()
    assert (found.differing == 0).all()
    assert len(set(back.tolist())) == POSES


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 5))
def test_pairs_are_sorted_unique_and_within_the_limit(seed: int, number: int, stains: int) -> None:
    originals = strangers(number, stains=stains, seed=seed)
    found = search(np.concatenate([originals, repeats(originals, unlike=0.1, seed=seed)[0]]), within=0.15)
    pairs = rows_of(found)
    assert pairs == sorted(set(pairs))
    assert (found.first < found.second).all()
    assert (found.differing <= 0.15).all()


def test_the_order_of_the_rows_does_not_matter() -> None:
    originals = strangers(100)
    hashes = np.concatenate([originals, repeats(originals, unlike=0.1)[0]])
    last = len(hashes) - 1
    there, back = search(hashes), search(hashes[::-1])
    assert {(a, b) for a, b, _ in rows_of(there)} == {(last - b, last - a) for a, b, _ in rows_of(back)}


def test_the_same_hashes_give_the_same_pairs() -> None:
    hashes = np.concatenate([strangers(50), repeats(strangers(50), unlike=0.15)[0]])
    assert rows_of(search(hashes)) == rows_of(search(hashes))


def test_one_good_stain_among_noise_is_enough_where_the_limit_allows() -> None:
    originals, other = strangers(50), strangers(50, seed=5)
    hashes = np.concatenate([originals, np.stack([originals[:, 0], other[:, 1]], axis=1)])
    found = {(a, b) for a, b, _ in rows_of(search(hashes, within=0.4))}  # half of half the bits differ
    assert {(row, row + 50) for row in range(50)} <= found
    assert not search(hashes, within=0.05).first.size


def test_a_crowd_of_equal_hashes_is_joined_at_a_bounded_cost(monkeypatch) -> None:
    compared = []

    def counting(first: np.ndarray, second: np.ndarray, *, poses: np.ndarray) -> np.ndarray:
        compared.append(len(first))
        return differing_bits(first, second, poses=poses)

    monkeypatch.setattr(bands, "differing_bits", counting)
    fields = 500
    found = search(np.repeat(strangers(1), fields, axis=0))
    assert sum(compared) <= (BANDS + 1) * POSES * CHAIN * fields
    assert len(found.first) <= CHAIN * fields
    joined = coo_array((np.ones(len(found.first)), (found.first, found.second)), shape=(fields, fields))
    assert connected_components(joined, directed=False)[0] == 1


@pytest.mark.parametrize("pattern", [0xFFFFFFFFFFFFFFFF, 0x1])
def test_a_crowd_whose_hash_is_its_own_mirror_image_is_joined_too(pattern: int) -> None:
    found = search(np.full((40, 1), pattern, np.uint64))
    assert {(row, row + 1) for row in range(39)} <= {(a, b) for a, b, _ in rows_of(found)}


def test_stains_that_show_nothing_are_nobodys_likeness() -> None:
    hashes = strangers(6)
    hashes[:4] = 0
    assert not search(hashes).first.size


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_fields(number: int) -> None:
    assert not search(strangers(number)).first.size


def test_pairs_that_lie_in_two_blocks_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = strangers(60)
    hashes = np.concatenate([originals, repeats(originals, unlike=0.1)[0], *[originals[:1]] * 12])
    whole = rows_of(search(hashes))
    monkeypatch.setattr(bands, "_ENTRIES", 7)
    monkeypatch.setattr(bands, "_ROWS", 11)
    assert rows_of(search(hashes)) == whole
