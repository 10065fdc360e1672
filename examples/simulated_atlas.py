"""From nothing to a judged classifier: simulate an atlas, train on it, read the numbers.

python examples/simulated_atlas.py work --fields 300
"""

import argparse
from pathlib import Path

import protloc


def main() -> None:
    """Run the whole way in the folder given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fields", type=int, default=300)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--recipe", default="standard")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    atlas, run = options.folder / "atlas", options.folder / "run"

    protloc.simulate(atlas, fields=options.fields, side=options.side, balanced=True)
    prepared = protloc.prepare(
        atlas / "train", options.folder / "store", labels=atlas / "train.csv", reading=protloc.Reading(side=64)
    )
    print(prepared.summary)
    print(protloc.split(prepared.store).summary)
    protloc.train(prepared.store, recipe=options.recipe, run=run, overrides=[f"epochs={options.epochs}"], say=print)

    evaluated = protloc.evaluate(run)
    test = evaluated.evaluation.parts["test"]
    print(f"macro-F1 on {test.fields} simulated test fields: {test.macro_f1.value:.3f}")
    for floor in test.floors:
        print(f"  always {floor.name}: {floor.macro_f1.value:.3f}")
    print(f"Report: {evaluated.report}")


if __name__ == "__main__":
    main()
