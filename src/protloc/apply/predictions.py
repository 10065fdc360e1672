"""Tables of what a model says of fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, check_folder, write_csv, write_parquet
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import SettingsError
from protloc.judge.answering import AnswerRule, Answers, answer
from protloc.judge.three_way import ABSENT, ASK, PRESENT

_WRITERS = {".csv": write_csv, ".parquet": write_parquet}
VERDICTS: dict[int, Literal["present", "ask", "absent"]] = {PRESENT: "present", ASK: "ask", ABSENT: "absent"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of fields, in the order of the input.

    Attributes:
        ids: Field (or tile) ids, rejected fields among them.
        logits: Raw logits of shape (fields, classes), float32; NaN throughout for a rejected field.
        vocabulary: What the columns mean.
        rule: How the logits become answers.
        rejected: Fields that could not be read: columns ``id``, ``reason``.
        spread: How far the networks of an ensemble disagree, (fields,) in 0..0.5: the standard deviation between their
            calibrated probabilities, of the class where it is largest; NaN for a rejected field. None of one network.
        notes: What else is to be said of the answers, a sentence each.
    """

    ids: tuple[str, ...]
    logits: NDArray[np.float32]
    vocabulary: Vocabulary
    rule: AnswerRule
    rejected: pd.DataFrame
    spread: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def answers(self) -> Answers:
        """Return what the rule makes of the logits; of a rejected field NaN, nothing called and all to be asked."""
        return answer(self.rule, self.logits)

    @cached_property
    def intervals(self) -> NDArray[np.float64] | None:
        """Return the 95 % intervals of the probabilities, (2, fields, classes); None of a model never judged."""
        return self.rule.intervals(self.logits)

    def table(self) -> pd.DataFrame:
        """Return a row a field.

        Returns:
            Columns ``id``; a calibrated probability a class name, exact in float32; then, as class names joined by
            ``; ``, ``answer`` (called), ``present`` (certain) and ``ask`` (an expert is to be asked); and of an
            ensemble ``spread``. A rejected field has nothing but its id.
        """
        said, read = self.answers, ~np.isnan(self.logits).any(axis=1, keepdims=True)
        frame = pd.DataFrame(said.probabilities, columns=list(self.vocabulary.names))
        frame.insert(0, "id", list(self.ids))
        frame["answer"] = self._joined(said.called)
        frame["present"] = self._joined(said.verdicts == PRESENT)
        frame["ask"] = self._joined((said.verdicts == ASK) & read)
        return frame if self.spread is None else frame.assign(spread=self.spread)

    def long_table(self) -> pd.DataFrame:
        """Return a row a field and class.

        Returns:
            Columns ``id``, ``class``, ``go``, ``probability`` with the 95 % interval ``low`` to ``high`` (NaN of a
            model never judged), ``called``, and ``answer``: ``present``, ``ask`` or ``absent``. A rejected field has
            NaN and an empty answer.
        """
        said, found = self.answers, self.intervals
        unknown = np.full((2, *said.probabilities.shape), np.nan)
        low, high = unknown if found is None else found
        read = ~np.isnan(said.probabilities)
        words = np.where(read, np.vectorize(VERDICTS.get, otypes=[object])(said.verdicts), "")
        compartments = self.vocabulary.compartments
        return pd.DataFrame(
            {
                "id": np.repeat(np.array(self.ids, dtype=object), len(compartments)),
                "class": [each.name for each in compartments] * len(self.ids),
                "go": [each.go for each in compartments] * len(self.ids),
                "probability": said.probabilities.ravel(),
                "low": low.ravel(),
                "high": high.ravel(),
                "called": said.called.ravel(),
                "answer": words.ravel(),
            }
        )

    def submission(self) -> pd.DataFrame:
        """Return Kaggle's form: ``Id`` and ``Predicted``, the ids of the called classes with spaces between."""
        class_ids = np.array([str(compartment.id) for compartment in self.vocabulary.compartments], dtype=object)
        predicted = [" ".join(class_ids[called]) for called in self.answers.called]
        return pd.DataFrame({"Id": list(self.ids), "Predicted": predicted})

    def summary(self, file: Path) -> str:
        """Return in words what was written to ``file``, what to know of it, and which fields got no answer."""
        told = [f"{file}: {len(self.ids)} fields, {len(self.rejected)} of them rejected.", *self.notes]
        if not self.rule.fields:
            told.append(
                "The probabilities are not calibrated and no answer is certain, as the model was never judged; "
                "protloc evaluate RUN does both."
            )
        if len(self.rejected):
            shown = ", ".join(self.rejected["id"][:5]) + (", …" if len(self.rejected) > 5 else "")
            told.append(f"Rejected: {shown}. Why is in {rejected_file(file)}; in the table they have no probabilities.")
        return "\n".join(told)

    def _joined(self, chosen: NDArray[np.bool_]) -> list[str]:
        names = np.array(self.vocabulary.names, dtype=object)
        return ["; ".join(names[row]) for row in chosen]


def write_predictions(predictions: Predictions, file: StrPath, *, style: str = "table") -> None:
    """Write the answers, and beside them ``<file>.rejected.csv`` where fields were rejected.

    Args:
        predictions: What to write.
        file: ``.csv`` or ``.parquet``.
        style: ``table`` (see :meth:`Predictions.table`), ``long`` (:meth:`Predictions.long_table`, with intervals) or
            ``kaggle`` (``Id,Predicted``).

    Raises:
        SettingsError: if the file's ending or the style is another.
    """
    file = Path(file)
    check_output(file)
    styles = {"table": predictions.table, "long": predictions.long_table, "kaggle": predictions.submission}
    if style not in styles:
        raise SettingsError(f"--format: {style!r}, expected table, long or kaggle.")
    write_table(file, styles[style]())
    listed = rejected_file(file)
    listed.unlink(missing_ok=True)
    if len(predictions.rejected):
        write_csv(listed, predictions.rejected)


def write_table(file: Path, table: pd.DataFrame) -> None:
    """Write a table as the ending of its file says; see :func:`check_output`."""
    _WRITERS[file.suffix](file, table)


def check_output(file: Path) -> None:
    """Refuse, before hours of work, a file whose ending names no format.

    Raises:
        SettingsError: if its ending is not ``.csv`` or ``.parquet``, or its folder is a file.
    """
    if file.suffix not in _WRITERS:
        raise SettingsError(f"--out: {file} ends in {file.suffix!r}, expected .csv or .parquet.")
    check_folder(file.parent)


def rejected_file(file: Path) -> Path:
    """Return where the rejected fields of a table of predictions are listed."""
    return file.with_name(f"{file.name}.rejected.csv")
