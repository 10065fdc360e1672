"""One thread that answers the fields of all requests in batches."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from protloc.apply.embed import look
from protloc.apply.given import batch_of
from protloc.learn.augment import POSES, poses
from protloc.learn.bundle import Bundle
from protloc.learn.machine import keep_memory


@dataclass(frozen=True, eq=False)
class Looked:
    """What the networks of a model make of fields.

    Attributes:
        logits: Every member's, float32 (members, fields, classes); means over poses where the model answers so.
        embeddings: Of the fields as they are, float32 (fields, dimensions).
    """

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Asked:
    images: NDArray[np.uint8]
    answer: Future[Looked]


class Engine:
    """A model that answers; requests that wait while it computes go into its next batch together.

    Args:
        bundle: The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.batches = 0
        self._most = batch_of(bundle.side)  # fields a step: twice as many were slower, and took 1 GB more
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        if self._device == "cpu":
            keep_memory(in_threads=True)
        self._network = bundle.network().to(self._device).eval()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def submit(self, images: NDArray[np.uint8]) -> Future[Looked]:
        """Answer fields in the model's channels, (fields, stains of the model, side, side), uint8, when it is free."""
        answer: Future[Looked] = Future()
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
            each.answer.set_result(Looked(looked.logits[:, rows], looked.embeddings[rows]))

    def look(self, images: NDArray[np.uint8]) -> Looked:
        """Compute at once, in steps of so many as memory allows; in the engine's own thread only."""
        steps = [self._step(images[start : start + self._most]) for start in range(0, len(images), self._most)]
        logits, embeddings = zip(*steps, strict=True)
        return Looked(np.concatenate(logits, axis=1), np.concatenate(embeddings))

    def _step(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.batches += 1
        with torch.inference_mode():
            given = torch.from_numpy(images).to(self._device)
            seen = look(self._network, given)
            logits = seen.logits
            if self.bundle.rule.poses > 1:
                turned = islice(poses(given), 1, None)
                logits = (logits + sum(self._network.each(pose) for pose in turned)) / POSES
            return logits.cpu().numpy(), seen.embeddings.cpu().numpy()
