"""One thread that answers the fields of all requests in batches."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.apply.given import batch_of
from protloc.apply.see import Eye, Seen, joined, see_each
from protloc.learn.model import Model


@dataclass(frozen=True, eq=False)
class _Asked:
    images: NDArray[np.uint8]
    answer: Future[Seen]


class Engine:
    """A model that answers; requests that wait while it computes go into its next batch together.

    Args:
        bundle: The model.
        eye: What computes, ready to be asked in another thread.
    """

    def __init__(self, bundle: Model, eye: Eye) -> None:
        self.bundle = bundle
        self.batches = 0
        self._eye = eye
        self._most = batch_of(bundle)  # fields a step: twice as many were slower, and took 1 GB more
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def submit(self, images: NDArray[np.uint8]) -> Future[Seen]:
        """Answer fields in the model's channels, (fields, stains of the model, side, side), uint8, when it is free."""
        answer: Future[Seen] = Future()
        self._asked.put(_Asked(images, answer))
        return answer

    def close(self) -> None:
        """Answer what was asked, then end."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        ending = False
        while not ending:
            waiting = [self._asked.get()]
            while sum(len(each.images) for each in waiting if each) < self._most and not self._asked.empty():
                waiting.append(self._asked.get())
            ending = None in waiting
            self._answer([each for each in waiting if each is not None and each.answer.set_running_or_notify_cancel()])

    def _answer(self, asked: list[_Asked]) -> None:
        if not asked:
            return
        try:
            looked = self.look(np.concatenate([each.images for each in asked]))
        except Exception as error:  # every waiting request is told, and the engine lives on
            for each in asked:
                each.answer.set_exception(error)
            return
        start = 0
        for each in asked:
            rows = slice(start, start := start + len(each.images))
            each.answer.set_result(Seen(looked.logits[:, rows], looked.embeddings[rows]))

    def look(self, images: NDArray[np.uint8]) -> Seen:
        """Compute at once, in steps of so many as memory allows; in the engine's own thread only."""
        steps = [images[start : start + self._most] for start in range(0, len(images), self._most)]
        self.batches += len(steps)
        return joined([*see_each(self._eye, steps, turned=self.bundle.rule.poses > 1)])
