"""The models a server can be asked, and how they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from protloc.apply.answered import predictions_of
from protloc.apply.explain import FieldExplanation, explain_fields, network_of
from protloc.apply.given import in_channels, takes
from protloc.apply.heat import VIEWS
from protloc.apply.neighbours import Index
from protloc.apply.preflight import check_distance
from protloc.apply.see import Seen, eye_of
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain, parse_stains
from protloc.errors import BundleError
from protloc.learn.bundle import as_bundle
from protloc.learn.bundle_checks import subset_name
from protloc.learn.export import Export, fastest_export
from protloc.learn.model import Model as Trained
from protloc.learn.network import Ensemble
from protloc.learn.reference import read_references
from protloc.serve.decoding import Decoded
from protloc.serve.engine import Engine
from protloc.serve.replies import (
    Explained,
    Explanation,
    FieldAnswer,
    HeatMap,
    ModelFacts,
    Reply,
    class_answers,
    facts_of,
    neighbours_of,
    pictures,
    png_of,
    warnings_of,
)

NEIGHBOURS = 5  # labelled fields shown beside each field
EXPLAINED_AT_ONCE = 8  # fields: gradients need their memory at once


class Model:
    """A model that is asked by name.

    Args:
        name: What the server calls it.
        bundle: The model.
        atlas: Labelled fields among which neighbours are searched, or None.
        export: What answers instead of the bundle, which explains; None if nothing does.
    """

    def __init__(self, name: str, bundle: Trained, *, atlas: Index | None = None, export: Export | None = None) -> None:
        self.name, self.bundle, self.atlas = name, bundle, atlas
        self.facts: ModelFacts = facts_of(name, bundle, atlas=0 if atlas is None else len(atlas), by=export or bundle)
        self._usual = {} if bundle.folder is None else read_references(bundle.folder)
        self._engine = Engine(bundle, eye_of(export or bundle, in_threads=True))
        self._explainer = ThreadPoolExecutor(1, thread_name_prefix="explain")  # one has the processors busy

    @cached_property
    def _explaining(self) -> Ensemble:
        """Return the networks that gradients are taken of: the engine's own must not wait for them."""
        return network_of(as_bundle(self.bundle))

    def close(self) -> None:
        """Answer what was asked, then end."""
        self._engine.close()
        self._explainer.shutdown(cancel_futures=True)

    def reading(self, stains: str | None, pixels: int) -> Reading:
        """Return how uploads are read for this model.

        Args:
            stains: What file names end in, as for ``--stains``; the model's own if None.
            pixels: The most that an image may have.

        Raises:
            SettingsError: if the words name no stains.
            BundleError: if they are not such as the model takes.
        """
        bundle = self.bundle
        given: Mapping[str, Stain] = {stain.name: stain for stain in bundle.stains}
        if stains is not None:
            given = {stain.name: stain for stain in parse_stains(stains.split(","))}
            if not takes(bundle, given):
                raise BundleError(
                    f"stains: {', '.join(given)} named, but the model {self.name} takes "
                    f"{', '.join(stain.name for stain in bundle.stains)} and needs {', '.join(bundle.needed)}."
                )
        ordered = tuple(given[stain.name] for stain in bundle.stains if stain.name in given)
        return Reading(ordered, bundle.side, bundle.tile, bundle.bit_depth, pixels)

    def submit(self, decoded: Decoded) -> Future[Seen]:
        """Look at fields when the model is free."""
        return self._engine.submit(self.images(decoded))

    def images(self, decoded: Decoded) -> NDArray[np.uint8]:
        """Return fields in the model's channels, (fields, stains of the model, side, side), uint8."""
        channels = {name: channel for channel, name in enumerate(decoded.stains)}
        return in_channels(self.bundle, np.stack([field.image for field in decoded.fields]), channels)

    def reply(self, decoded: Decoded, looked: Seen, *, adapt: bool | None) -> Reply:
        """Put what the model makes of fields in words.

        Args:
            decoded: The fields.
            looked: What the networks made of them.
            adapt: Whether to fit the answers to these fields; as the model wants if None.
        """
        ids = tuple(field.id for field in decoded.fields)
        several = len({field.source for field in decoded.fields})
        said = predictions_of(self.bundle, ids, looked.logits, given=decoded.stains, fields=several, adapt=adapt)
        found = None if self.atlas is None else self.atlas.search(looked.embeddings, NEIGHBOURS, ids=ids)
        stains = [stain for stain in self.bundle.stains if stain.name in decoded.stains]
        usual = self._usual.get(subset_name(decoded.stains), ())
        fields = [
            FieldAnswer(
                id=field.id,
                source=field.source,
                width=field.width,
                height=field.height,
                bit_depth=field.bit_depth,
                classes=class_answers(said, row),
                warnings=warnings_of([*field.findings, *check_distance(usual, looked.embeddings[row])]),
                neighbours=neighbours_of(found, row),
                pictures=[] if field.preview is None else pictures(field.preview, stains),
            )
            for row, field in enumerate(decoded.fields)
        ]
        return Reply(
            model=self.name,
            stains=list(decoded.stains),
            fields=fields,
            rejected=decoded.rejected,
            notes=list(said.notes),
        )

    def explain(self, decoded: Decoded, *, classes: int) -> Future[Explanation]:
        """Tell where in fields the model sees what it says, when those before are told; see :meth:`explanation`."""
        return self._explainer.submit(self.explanation, decoded, classes=classes)

    def explanation(self, decoded: Decoded, *, classes: int) -> Explanation:
        """Tell where in fields the model sees what it says.

        Args:
            decoded: The fields.
            classes: How many classes of each, the most probable first.
        """
        if not self.facts.explains:
            raise BundleError(
                f"{self.name}: an export, which answers but has no heat maps. Ask a model that is a bundle."
            )
        images, each = self.images(decoded), range(0, len(decoded.fields), EXPLAINED_AT_ONCE)
        fields = [
            field
            for start in each
            for field in self._some_explained(decoded, images, slice(start, start + EXPLAINED_AT_ONCE), classes)
        ]
        return Explanation(model=self.name, fields=fields, rejected=decoded.rejected)

    def _some_explained(
        self, decoded: Decoded, images: NDArray[np.uint8], some: slice, classes: int
    ) -> Iterator[Explained]:
        network, rule = self._explaining, self.bundle.rule_for(decoded.stains)
        with torch.inference_mode():
            logits = network(torch.from_numpy(images[some]).to(next(network.parameters()).device)).cpu().numpy()
        said = rule.probabilities(logits)
        columns = [np.argsort(-row, kind="stable")[:classes].tolist() for row in said]
        found = explain_fields(
            as_bundle(self.bundle), images[some], columns, given=decoded.stains, network=network, views=VIEWS[:1]
        )
        for field, explained, probabilities in zip(decoded.fields[some], found, said, strict=True):
            yield self._explained(field.id, explained, probabilities)

    def _explained(self, field: str, found: FieldExplanation, probabilities: NDArray[np.float64]) -> Explained:
        names, stains = self.bundle.vocabulary.names, [stain.name for stain in self.bundle.stains]
        maps = [
            HeatMap(name=names[column], probability=float(probabilities[column]), png=png_of(_grey(heat)))
            for column, heat in zip(found.columns, found.heat, strict=True)
        ]
        adds = {
            names[column]: {stain: _known(value) for stain, value in zip(stains, row, strict=True)}
            for column, row in zip(found.columns, found.contributions, strict=True)
        }
        return Explained(id=field, maps=maps, stains=adds)


def named_models(
    bundles: Sequence[tuple[str, Trained]], atlases: Sequence[Path] = (), *, say: Callable[[str], None] = print
) -> dict[str, Model]:
    """Make models of bundles; two of one name are told apart by numbers.

    Args:
        bundles: Each with its name.
        atlases: Files that ``protloc embed`` wrote; each belongs to the bundle it was made with.
        say: Called with a sentence where an export in a bundle's folder cannot be opened, so that the bundle answers.

    Raises:
        BundleError: if an atlas belongs to none of the bundles, or a model is damaged.
    """
    models: dict[str, Model] = {}
    left = list(atlases)
    for name, bundle in bundles:
        number = sum(each == name or each.startswith(f"{name} (") for each in models)
        own = name if not number else f"{name} ({number + 1})"
        atlas = _own_atlas(bundle, left)
        faster = None if torch.cuda.is_available() else fastest_export(bundle, exact=atlas is not None)
        try:
            models[own] = Model(own, bundle, atlas=atlas, export=faster)
        except BundleError as error:
            if faster is None:
                raise
            say(f"{error} Until then {own} answers by its bundle.")
            models[own] = Model(own, bundle, atlas=atlas)
    if left:
        raise BundleError(f"--atlas: {left[0]} was made with none of these models. Make it anew: protloc embed.")
    return models


def _own_atlas(bundle: Trained, files: list[Path]) -> Index | None:
    """Take the first of the files that was made with a model out of the list, and open it."""
    for file in files:
        try:
            index = Index.read(file, bundle)
        except BundleError:
            continue
        files.remove(file)
        return index
    return None


def _grey(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(heat * 255).astype(np.uint8)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)
