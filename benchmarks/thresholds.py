"""Which rule for thresholds wins when, with and without label shift; all simulated, no images.

    python benchmarks/thresholds.py [--draws 16] [--write docs/thresholds.md]

Label sets are drawn as HPA has them: 28 classes of Kaggle's frequencies, 1 to 5 labels a field, some classes often
together, three fields a group. A network's logits are log-odds from evidence that is normal, around 0 or a class's own
separation, and shared in part by the fields of a group. A rough network sees a sixth of the fields at half strength and
takes some classes for others, so that its logits are no log-odds. One that is too sure is rough, its logits 1.7 times
too large, and rare classes were over-sampled. Rules are fitted to validation fields and judged on others, whose classes
are as frequent, mildly shifted as Kaggle's test fields were, or strongly. No ensemble is drawn: each network answers
alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration, fit_calibration
from protloc.judge.metrics import macro_f1, precision_recall_curve, samples_f1
from protloc.judge.shift import adapted
from protloc.judge.three_way import Cuts
from protloc.judge.thresholds import RULES, fit_thresholds

FIELDS = 31072  # of Kaggle 2018, with these counts of classes and of labels a field
COUNTS = (
    *(12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537),
    *(1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11),
)
LABELS_A_FIELD = (15126, 12485, 3160, 299, 2)
KAGGLE_TEST = {0: 0.362, 2: 0.075}  # Nucleoplasm was .415, Nucleoli .117
FIELDS_A_GROUP = 3
TEST = 4661
VALIDATIONS = (300, 1500, 4661)
NETWORKS = ("right", "rough", "too sure, mended", "too sure, left so")  # mended: calibrated as protloc does
SHIFTS = ("none", "mild", "strong")
ADAPTATIONS = ("off", "EM", "black box")
FREE = "per class, free"  # the threshold of the highest F1 on validation, as is usual; protloc does not have it
TRIED = (*RULES, "auto", FREE)

Floats = NDArray[np.float64]
Hot = NDArray[np.bool_]


class Situation(NamedTuple):
    """What a rule has to cope with."""

    network: str
    validation: int
    shift: str


SITUATIONS = [Situation(*each) for each in product(NETWORKS, VALIDATIONS, SHIFTS)]

PAGE = """# Which rule for thresholds, and whether to adapt it

**All of this is simulated**: no image, no trained network, only logits drawn as `benchmarks/thresholds.py` says at its
head. It tells how rules compare, not what a network will score. Written by
`python benchmarks/thresholds.py --write docs/thresholds.md` from {draws} draws of every situation: network × validation
fields × shift of the {test:,} test fields.

The networks are single ones. Of an ensemble `predict --adapt` counts the calls of each network by itself, as hits and
alarms were measured, and averages the counts: their mean calls less often by mistake, which would pass for a shift.

- `fixed`: 0.5. `one`: one threshold for all classes, tuned for macro-F1. `per class`: one each, shrunk towards the
  shared one the fewer groups have the class. `prevalence`: each class called as often as it occurs, shrunk likewise.
  `auto`: `one`, unless another rule is better by more than a standard error on groups it was not fitted on.
- `per class, free`: the probability from which F1 of the class was highest on validation, as is usual. protloc does not
  offer it.

## What it says
1. **`auto` is the default**: its worst loss over both metrics is the smallest of all, if by little. The shrunk rules
   are near each other: `per class` is best for macro-F1, `one` for samples-F1 where probabilities are calibrated, and
   `prevalence` lies between.
2. **0.5 loses most where probabilities are calibrated**: classes that are hard to tell are then hardly called. Where a
   network is too sure and left so, 0.5 is about as good as any rule, by luck: its rare classes are raised already.
3. **Free thresholds lose to `auto` in every situation**, and for macro-F1 with 300 validation fields to 0.5 as well.
   Shrinking is what makes tuning safe.
4. **`predict --adapt` counts calls (black box)**. Where nothing has shifted it costs next to nothing; a mild shift,
   such as that of Kaggle's test fields, leaves it little to gain; after a strong one it gains in every situation.
5. **Expectation maximisation loses where calibrated logits are not quite log-odds**, as those of trained networks
   hardly ever are: it takes the misfit for a shift. Even for the right network it gains no more than counting does. It
   stays available in Python.

## Worst and mean loss
Against the best rule of the same situation, over {situations} situations, not adapted.

{losses}

## What adaptation adds to `auto`
Mean and least over {each} situations.

{shifts}

## Macro-F1
`fixed`, and what each other rule scores more than it (mean ± standard error over draws); not adapted.

{macro}

## Samples-F1
Likewise.

{samples}

## Adapted less not adapted
For `auto`.

{adaptation}
"""

# macro-F1 and samples-F1 by situation, adaptation and rule
Scores = dict[tuple[Situation, str, str], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class World:
    """How label sets and logits are drawn.

    Attributes:
        weights: Log weight of each class in a label set, by the shift, (classes,).
        affinity: Added to the log weight of a class where another is in the set, (classes, classes).
        separation: Distance between the evidence of fields with and without a class, in its standard deviations.
        alike: Added to the logit of a class where another is present, (classes, classes) of 0 or more.
    """

    weights: Mapping[str, Floats]
    affinity: Floats
    separation: Floats
    alike: Floats


def draw_labels(weights: Floats, affinity: Floats, *, fields: int, rng: np.random.Generator) -> Hot:
    """Draw label sets: the number of labels, a first by its weight, the others by weight and affinity to the first."""
    rows, classes = np.arange(fields), len(weights)
    number = 1 + rng.choice(len(LABELS_A_FIELD), fields, p=np.array(LABELS_A_FIELD) / sum(LABELS_A_FIELD))
    first = (weights + rng.gumbel(size=(fields, classes))).argmax(axis=1)
    chance = weights + affinity[first] + rng.gumbel(size=(fields, classes))
    chance[rows, first] = np.inf
    rank = np.argsort(np.argsort(-chance, axis=1), axis=1)
    return rank < number[:, None]


def weights_for(prevalences: Floats, affinity: Floats) -> Floats:
    """Find the weights of which label sets with these prevalences are drawn, by proportional fitting."""
    weights = np.log(prevalences)
    for turn in range(30):
        drawn = draw_labels(weights, affinity, fields=20_000, rng=np.random.default_rng(turn)).sum(axis=0)
        weights = weights + 0.7 * np.log((prevalences * 20_000 + 10) / (drawn + 10))
    return weights


def make_world() -> World:
    """Make the world of the study, always the same."""
    rng = np.random.default_rng(28)
    classes = len(COUNTS)
    affinity = rng.normal(0, 0.7, (classes, classes))
    affinity = (affinity + affinity.T) / 2
    prevalences = np.array(COUNTS) / FIELDS
    test = prevalences.copy()
    test[list(KAGGLE_TEST)] = list(KAGGLE_TEST.values())
    there, moved = weights_for(prevalences, affinity), weights_for(test, affinity)
    alike = np.where(rng.random((classes, classes)) < 0.08, rng.uniform(0.5, 2, (classes, classes)), 0)
    np.fill_diagonal(alike, 0)
    separation = np.clip(rng.normal(3.3, 0.6, classes), 2, 4.5)
    return World({"none": there, "mild": moved, "strong": there}, affinity, separation, alike)


def draw_fields(world: World, *, network: str, shift: str, fields: int, rng: np.random.Generator) -> tuple[Hot, Floats]:
    """Draw fields in groups of three; returns truth and the network's logits."""
    jitter = {"none": 0.0, "mild": 0.2, "strong": 0.8}[shift]
    weights = world.weights[shift] + jitter * rng.standard_normal(len(COUNTS))
    group = np.arange(fields) // FIELDS_A_GROUP
    groups = int(group[-1]) + 1
    truth = draw_labels(weights, world.affinity, fields=groups, rng=rng)[group]
    noise = np.sqrt(0.3) * rng.standard_normal((groups, len(COUNTS)))[group]
    noise += np.sqrt(0.7) * rng.standard_normal(truth.shape)
    rough = network != "right"
    strength = np.where(rng.random((fields, 1)) < rough / 6, 0.5, 1.0)
    prior = np.array(COUNTS) / FIELDS
    separation = world.separation
    logits = separation * (strength * separation * (truth - 0.5) + noise) + np.log(prior / (1 - prior))
    if rough:
        logits += truth @ world.alike * ~truth
    return truth, distort(logits) if network.startswith("too sure") else logits


def distort(logits: Floats) -> Floats:
    """Make logits those of a network that is too sure, and for which rare classes were over-sampled."""
    return 1.7 * logits + np.where(np.array(COUNTS) < 0.01 * FIELDS, 2.0, 0.3)


def names_of_groups(fields: int) -> list[str]:
    """Name the group of each field."""
    return [f"group{place // FIELDS_A_GROUP:06d}" for place in range(fields)]


def fit_rules(truth: Hot, logits: Floats, *, network: str) -> dict[str, AnswerRule]:
    """Fit calibration and every rule for thresholds to validation fields."""
    groups, classes = names_of_groups(len(truth)), len(COUNTS)
    left_so = network == "too sure, left so"
    calibration = Calibration.plain(classes) if left_so else fit_calibration(truth, logits, groups=groups)
    probabilities = calibration.probabilities(logits)
    prevalences = tuple(truth.mean(axis=0).tolist())
    fitted = {rule: fit_thresholds(truth, probabilities, groups=groups, rule=rule) for rule in (*RULES, "auto")}
    free = [best_threshold(truth[:, column], probabilities[:, column]) for column in range(classes)]
    fitted[FREE] = replace(fitted["per class"], values=tuple(free))
    return {
        name: AnswerRule(calibration, thresholds, Cuts.never(classes), prevalences, fields=len(truth))
        for name, thresholds in fitted.items()
    }


def best_threshold(truth: Hot, probabilities: Floats) -> float:
    """Return the probability from which F1 is highest on these very fields; 0.5 without a positive."""
    if not truth.any():
        return 0.5
    curve = precision_recall_curve(truth, probabilities)
    precision, recall = curve.precision[:-1], curve.recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(curve.thresholds[f1.argmax()])


def adapt_rules(rules: Mapping[str, AnswerRule], *, how: str, logits: Floats) -> Mapping[str, AnswerRule]:
    """Adapt every rule to the test fields."""
    if how == "black box":
        return {name: adapted(rule, logits).rule for name, rule in rules.items()}
    if how == "EM":  # does not look at thresholds
        calibration = adapted(rules["fixed"], logits, estimator="em").rule.calibration
        return {name: replace(rule, calibration=calibration) for name, rule in rules.items()}
    return rules


def run_draw(world: World, *, network: str, validation: int, seed: int) -> Scores:
    """Draw validation and test fields once, and score every rule with every adaptation."""
    rng = np.random.default_rng((seed, validation))
    rules = fit_rules(*draw_fields(world, network=network, shift="none", fields=validation, rng=rng), network=network)
    found: Scores = {}
    for shift in SHIFTS:
        truth, logits = draw_fields(world, network=network, shift=shift, fields=TEST, rng=rng)
        for how in ADAPTATIONS:
            for name, rule in adapt_rules(rules, how=how, logits=logits).items():
                called = rule.called(rule.probabilities(logits))
                scored = macro_f1(truth, called), samples_f1(truth, called)
                found[Situation(network, validation, shift), how, name] = scored
    return found


def run_study(*, draws: int) -> list[Scores]:
    """Draw every situation ``draws`` times; returns the scores of each draw in all situations."""
    world = make_world()
    cases = list(product(NETWORKS, VALIDATIONS, range(draws)))
    with ProcessPoolExecutor(2) as pool:
        waiting = [
            pool.submit(run_draw, world, network=network, validation=validation, seed=seed)
            for network, validation, seed in cases
        ]
        done = [each.result() for each in waiting]
    together: list[Scores] = [{} for _ in range(draws)]
    for (_, _, seed), scores in zip(cases, done, strict=True):
        together[seed].update(scores)
    return together


class Gain(NamedTuple):
    """A difference of scores: its mean over draws, and the standard error of that."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def gain(drawn: list[Scores], situation: Situation, *, of: tuple[str, str], over: tuple[str, str], metric: int) -> Gain:
    """Compare adaptation and rule ``of`` with ``over`` on the same draws; metric 0 is macro-F1, 1 samples-F1."""
    each = [one[situation, *of][metric] - one[situation, *over][metric] for one in drawn]
    return Gain(float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(len(each))))


def mean_score(drawn: list[Scores], situation: Situation, *, of: tuple[str, str], metric: int) -> float:
    """Average a score over draws."""
    return float(np.mean([one[situation, *of][metric] for one in drawn]))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int) -> str:
    """Write a table in Markdown whose first columns are words, the others figures."""
    lines = [head, ["---"] * words + ["--:"] * (len(head) - words), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def loss_table(drawn: list[Scores]) -> str:
    """Tell how far each rule falls behind the best rule of a situation, without adaptation."""
    rows: list[list[str]] = []
    for rule in TRIED:
        cells = [rule]
        for metric in (0, 1):
            losses = [
                max(mean_score(drawn, situation, of=("off", other), metric=metric) for other in TRIED)
                - mean_score(drawn, situation, of=("off", rule), metric=metric)
                for situation in SITUATIONS
            ]
            cells += [f"{max(losses):.3f}", f"{np.mean(losses):.3f}"]
        rows.append(cells)
    return table(["rule", "macro-F1, worst loss", "mean loss", "samples-F1, worst loss", "mean loss"], rows, words=1)


def rule_table(drawn: list[Scores], *, metric: int) -> str:
    """Tell what every rule scores more than 0.5 in each situation, without adaptation."""
    others = TRIED[1:]
    rows = [
        [
            *map(str, situation),
            f"{mean_score(drawn, situation, of=('off', 'fixed'), metric=metric):.3f}",
            *(str(gain(drawn, situation, of=("off", rule), over=("off", "fixed"), metric=metric)) for rule in others),
        ]
        for situation in SITUATIONS
    ]
    return table(["network", "validation", "shift", "fixed", *others], rows, words=3)


def adaptation_table(drawn: list[Scores]) -> str:
    """Tell what adaptation adds to ``auto`` in each situation."""
    rows = [
        [
            *map(str, situation),
            *(
                str(gain(drawn, situation, of=(how, "auto"), over=("off", "auto"), metric=metric))
                for metric, how in product((0, 1), ADAPTATIONS[1:])
            ),
        ]
        for situation in SITUATIONS
    ]
    titles = [f"{how}, {name}" for name, how in product(("macro-F1", "samples-F1"), ADAPTATIONS[1:])]
    return table(["network", "validation", "shift", *titles], rows, words=3)


def shift_table(drawn: list[Scores]) -> str:
    """Tell what adaptation adds to ``auto`` on average, and where it adds least, for each shift."""
    rows: list[list[str]] = []
    for shift, how in product(SHIFTS, ADAPTATIONS[1:]):
        cells = [shift, how]
        for metric in (0, 1):
            gains = [
                gain(drawn, situation, of=(how, "auto"), over=("off", "auto"), metric=metric).mean
                for situation in SITUATIONS
                if situation.shift == shift
            ]
            cells += [f"{np.mean(gains):+.3f}", f"{min(gains):+.3f}"]
        rows.append(cells)
    head = ["shift", "estimator", "macro-F1, mean gain", "least gain", "samples-F1, mean gain", "least gain"]
    return table(head, rows, words=2)


def page(drawn: list[Scores]) -> str:
    """Write the page of the study."""
    return PAGE.format(
        draws=len(drawn),
        test=TEST,
        situations=len(SITUATIONS),
        each=len(SITUATIONS) // len(SHIFTS),
        losses=loss_table(drawn),
        macro=rule_table(drawn, metric=0),
        samples=rule_table(drawn, metric=1),
        shifts=shift_table(drawn),
        adaptation=adaptation_table(drawn),
    )


def main() -> None:
    """Run the study; print the page or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    began = time.perf_counter()
    text = page(run_study(draws=options.draws))
    if options.write is None:
        print(text)
    else:
        options.write.write_text(text, encoding="utf-8")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
