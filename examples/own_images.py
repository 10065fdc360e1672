"""Your own images, stains and classes: prepare, train, and answer for images without labels.

python examples/own_images.py images labels.csv classes.csv work --stains dapi=_ch00,green=_ch01
"""

import argparse
from pathlib import Path

import protloc


def main() -> None:
    """Train on the labelled images and print the answers for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="named <id><suffix>.png, one file a stain")
    parser.add_argument("labels", type=Path, help="Id,Target with class ids, spaces between")
    parser.add_argument("classes", type=Path, help="id,name[,go,group]")
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("--stains", default="red,green,blue,yellow")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--recipe", default="baseline-cnn")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    prepared = protloc.prepare(
        options.images,
        options.folder / "store",
        labels=options.labels,
        vocabulary=protloc.load_vocabulary(options.classes),
        reading=protloc.Reading(stains=protloc.parse_stains(options.stains.split(",")), side=options.side),
    )
    print(prepared.summary)
    trained = protloc.train(
        prepared.store,
        recipe=options.recipe,
        run=options.folder / "run",
        overrides=[f"epochs={options.epochs}"],
        say=print,
    )
    print(protloc.evaluate(trained.run).summary)

    predictions = protloc.predict(protloc.Bundle.load(trained.run / "bundle"), options.images)
    protloc.write_predictions(predictions, options.folder / "answers.csv")
    print(predictions.table().head().to_string(index=False))


if __name__ == "__main__":
    main()
