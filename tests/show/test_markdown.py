"""Tables in Markdown."""

from protloc.show.markdown import markdown_table


def test_a_hand_written_table() -> None:
    assert markdown_table(["class", "F1"], [["Dots", 0.5], ["a|b", "–"]]) == [
        "| class | F1 |",
        "| --- | --- |",
        "| Dots | 0.5 |",
        "| a/b | – |",
    ]
