"""Labels likely wrong, told by networks that never saw them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protloc.atlas.files import write_csv
from protloc.atlas.photographs import photographs_of
from protloc.atlas.store import Store
from protloc.curate.label_noise import suspects
from protloc.errors import RunError
from protloc.judge.predictions import PartPredictions, predictions_file
from protloc.learn.runs import read_run
from protloc.show.report_content import OUT_OF_FOLD
from protloc.show.review_page import ReviewContent, places_to_show, suspects_table, write_review_page

SHOWN = 120  # fields on the page; a morning's work for who reviews them


@dataclass(frozen=True)
class Reviewed:
    """Label sets by how likely they are wrong.

    Attributes:
        table: ``suspects.csv``: a line a field, the most suspicious first.
        page: The first of them to look at.
        shown: How many.
    """

    table: Path
    page: Path
    shown: int

    @property
    def summary(self) -> str:
        """Return in words where to look."""
        if not self.shown:
            return f"No label is likely wrong, as far as these networks can tell. The ranking: {self.table}"
        return f"Labels likely wrong, the likeliest first: {self.table}; the first {self.shown} to look at: {self.page}"


def review_labels(store: Store, run: Path, *, out: Path) -> Reviewed:
    """Rank the fields of a store by how likely their labels are wrong, and write table and page.

    Args:
        store: The labelled store that the run was trained on.
        run: A run of folds that was evaluated.
        out: Folder to write ``suspects.csv`` and ``suspects.html`` to.

    Raises:
        RunError: if the run has no out-of-fold answers, or was trained on another store.
    """
    file = predictions_file(run, OUT_OF_FOLD)
    trained = read_run(run)
    if trained.record.folds and not file.is_file():
        raise RunError(f"{run}: not evaluated yet, it has no {file.name}. Say: protloc evaluate {run}")
    if not file.is_file():
        raise RunError(
            f"{run}: no {file.name}, so its networks learnt the labels they would be asked about. Give a run of folds: "
            "protloc split STORE --folds 5 --name cv, protloc train --split cv, protloc evaluate."
        )
    if trained.record.seal != store.seal:
        raise RunError(f"{run}: trained on another store than {store.folder}. Give a run on this one.")
    said = PartPredictions.read(file)
    groups = said.groups if len(set(said.groups)) < len(said) else None
    content = ReviewContent(
        store=store.folder.name,
        simulated=bool(store.source["simulated"]),
        stains=store.stains,
        vocabulary=store.vocabulary,
        ids=said.ids,
        truth=said.truth,
        probabilities=said.probabilities,
        groups=groups,
        found=suspects(said.truth, said.probabilities, groups=groups),
    )
    write_csv(out / "suspects.csv", suspects_table(content))
    shown = [store.table.rows[said.ids[row]] for row in places_to_show(content.found, most=SHOWN)]
    page = write_review_page(out / "suspects.html", content, photographs_of(store, shown))
    return Reviewed(out / "suspects.csv", page, len(shown))
