"""Metrics of ranked answers: areas under ROC curves, label ranking."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def areas_under_roc(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """Compute for every class how often a field with it stands above a field without it; equal scores count half.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        scores: Floats of the same shape, higher where a class is likelier.

    Returns:
        (classes,) in 0..1; nan where no field or every field has the class. It is the Mann-Whitney statistic over its
        largest value (Hanley and McNeil, Radiology 143, 1982).

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    hot, ranked = _alike(truth, scores)
    positives = hot.sum(axis=0)
    pairs = positives * (len(hot) - positives)
    above = (rankdata(ranked, axis=0) * hot).sum(axis=0) - positives * (positives + 1) / 2
    return np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan)


def mean_area_under_roc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Average :func:`areas_under_roc` over the classes that have one; nan if none has.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    areas = areas_under_roc(truth, scores)
    known = ~np.isnan(areas)
    return float(areas[known].mean()) if known.any() else float("nan")


def label_ranking_average_precision(truth: ArrayLike, scores: ArrayLike) -> float:
    """Average over fields, and over each field's labels, the share of labels among the classes ranked as high.

    A field without labels, or with all, counts 1, as in scikit-learn; nan without fields.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    hot, ranked = _alike(truth, scores)
    if not len(hot):
        return float("nan")
    places = rankdata(-ranked, method="max", axis=1)
    among_labels = rankdata(np.where(hot, -ranked, np.inf), method="max", axis=1)
    labels = hot.sum(axis=1)
    shares = (np.where(hot, among_labels / places, 0.0)).sum(axis=1) / np.maximum(labels, 1)
    return float(np.where((labels == 0) | (labels == hot.shape[1]), 1.0, shares).mean())


def _alike(truth: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    hot, ranked = np.asarray(truth) > 0, np.asarray(scores, np.float64)
    if hot.ndim != 2 or hot.shape != ranked.shape:
        raise ValueError(
            f"expected truth and scores of one shape (fields, classes), got {hot.shape} and {ranked.shape}"
        )
    return hot, ranked
