"""The interface on the web: answers, limits, what is refused, what dies alone."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

import protloc.serve
from protloc.apply.predict import predict
from protloc.apply.see import eye_of, see
from protloc.atlas.stains import HPA_STAINS
from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.serve.app import create_app
from protloc.serve.decoding import Decoded, DecodePool, DecodingError, Job
from protloc.serve.engine import Engine
from protloc.serve.limits import HEADERS, Limits
from protloc.serve.models import Model, named_models
from protloc.serve.replies import VERDICTS

SIDE = 32
DOUBTED = replace(Calibration.plain(3), covariances=((0.1, 0.0, 0.2),) * 3)
HOST = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def bundle(tiny_world) -> Bundle:
    """Return a network with random weights."""
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    return Bundle(
        backbone="baseline-cnn",
        vocabulary=tiny_world.vocabulary,
        stains=HPA_STAINS,
        side=SIDE,
        rule=replace(AnswerRule.plain(3), calibration=DOUBTED, fields=9),
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"},
        protloc_version="0",
    )


@pytest.fixture(scope="module")
def client(bundle: Bundle) -> Iterator[TestClient]:
    app = create_app({"tiny": Model("tiny", bundle)}, Limits(upload_bytes=200_000, files=40, pixels=10_000))
    with TestClient(app, base_url=HOST, raise_server_exceptions=False) as client:
        yield client


def files_of(folder: Path, *ids: str) -> list[tuple[str, tuple[str, bytes]]]:
    """Return the files of fields as a browser sends them."""
    paths = [folder / f"{field}{stain.suffix}.png" for field in ids for stain in HPA_STAINS]
    return [("files", (path.name, path.read_bytes())) for path in paths]


def test_answers_are_those_of_predict(client: TestClient, bundle: Bundle, tiny_world) -> None:
    said = predict(bundle, tiny_world.images)
    reply = client.post("/v1/predict", files=files_of(tiny_world.images, "f003", "f010")).json()
    assert (reply["model"], reply["stains"]) == ("tiny", ["red", "green", "blue", "yellow"])
    assert [field["id"] for field in reply["fields"]] == ["f003", "f010"]
    for field in reply["fields"]:
        row = said.ids.index(field["id"])
        told = {each["name"]: each for each in field["classes"]}
        for place, name in enumerate(bundle.vocabulary.names):
            assert told[name]["probability"] == pytest.approx(said.answers.probabilities[row, place], abs=1e-5)
            assert told[name]["called"] == said.answers.called[row, place]
            low, high = said.intervals[:, row, place]
            assert (told[name]["low"], told[name]["high"]) == (
                pytest.approx(low, abs=1e-5),
                pytest.approx(high, abs=1e-5),
            )
            assert low < said.answers.probabilities[row, place] < high
            assert told[name]["verdict"] == VERDICTS[int(said.answers.verdicts[row, place])]
        probabilities = [each["probability"] for each in field["classes"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert (field["width"], field["height"], field["bit_depth"], field["pictures"]) == (SIDE, SIDE, 8, [])


def test_a_stack_answers_as_its_stains_do(client: TestClient, tiny_world) -> None:
    planes = [cv2.imread(str(tiny_world.images / f"f004{s.suffix}.png"), cv2.IMREAD_UNCHANGED) for s in HPA_STAINS]
    written, content = cv2.imencodemulti(".tif", planes)
    assert written
    alone = client.post("/v1/predict", files=files_of(tiny_world.images, "f004")).json()["fields"][0]
    stacked = client.post("/v1/predict", files=[("files", ("f004.tif", content.tobytes()))]).json()["fields"][0]
    assert stacked["id"] == "f004.tif"
    assert stacked["classes"] == alone["classes"]
    three = cv2.imencodemulti(".tif", planes[:3])[1].tobytes()
    told = client.post("/v1/predict", files=[("files", ("x.tif", three))])
    assert (told.status_code, "a stack of 3 images, expected 4" in told.json()["detail"]) == (422, True)


def test_a_field_may_lack_what_the_model_can_do_without(client: TestClient, tiny_world) -> None:
    green = [each for each in files_of(tiny_world.images, "f001") if "green" in each[1][0]]
    reply = client.post("/v1/predict", files=green).json()
    assert reply["stains"] == ["green"]
    assert "No red or blue or yellow image was given" in " ".join(reply["notes"])
    blue = [each for each in files_of(tiny_world.images, "f001") if "blue" in each[1][0]]
    told = client.post("/v1/predict", files=blue)
    assert (told.status_code, "no green image" in told.json()["detail"]) == (422, True)


def test_the_pixels_are_checked_unless_told_not_to(client: TestClient) -> None:
    black = cv2.imencode(".png", np.zeros((SIDE, SIDE), np.uint8))[1].tobytes()
    files = [("files", (f"a{stain.suffix}.png", black)) for stain in HPA_STAINS]
    (checked,) = client.post("/v1/predict", files=files).json()["fields"]
    assert "empty" in {warning["code"] for warning in checked["warnings"]}
    (unchecked,) = client.post("/v1/predict?preflight=false", files=files).json()["fields"]
    assert unchecked["warnings"] == []
    assert unchecked["classes"] == checked["classes"]


def test_stains_may_be_called_otherwise(client: TestClient, tiny_world) -> None:
    content = (tiny_world.images / "f001_green.png").read_bytes()
    reply = client.post("/v1/predict?stains=green=_ch01", files=[("files", ("a_ch01.png", content))])
    assert reply.json()["fields"][0]["id"] == "a"
    told = client.post("/v1/predict?stains=blue", files=[("files", ("a_blue.png", content))])
    assert (told.status_code, "needs green" in told.json()["detail"]) == (422, True)


def test_names_are_only_ever_text(
    client: TestClient, tiny_world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = (tiny_world.images / "f001_green.png").read_bytes()
    for name, field in (
        ("../../etc/passwd_green.png", "passwd"),
        ("<script>alert(1)</script>_green.png", "script>"),
        ("..\\..\\x_green.png", "x"),
        ("a\x07b_green.png", "b"),
    ):
        reply = client.post("/v1/predict", files=[("files", (name, content))])
        assert reply.json()["fields"][0]["id"].endswith(field), name
        assert reply.headers["content-type"] == "application/json"
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_told_beside_what_can(client: TestClient, tiny_world) -> None:
    files = files_of(tiny_world.images, "f001")
    files += [("files", ("broken_green.png", b"\x89PNG\r\n\x1a\nno")), ("files", ("notes.txt", b"x"))]
    files += [("files", ("unnamed.png", files[0][1][1]))]
    reply = client.post("/v1/predict", files=files).json()
    assert [field["id"] for field in reply["fields"]] == ["f001"]
    assert set(reply["rejected"]) == {"broken", "notes.txt", "unnamed.png"}
    assert "tells no stain" in reply["rejected"]["unnamed.png"]
    twice = client.post("/v1/predict", files=[files[1], files[1]])
    assert "2 files have this name" in twice.json()["detail"]


def test_pictures_are_the_stains(client: TestClient, tiny_world) -> None:
    reply = client.post("/v1/predict?pictures=true", files=files_of(tiny_world.images, "f001")).json()
    shown = {each["stain"]: each for each in reply["fields"][0]["pictures"]}
    assert shown["yellow"]["colour"] == [255, 255, 0]
    for stain in HPA_STAINS:
        png = np.frombuffer(__import__("base64").b64decode(shown[stain.name]["png"]), np.uint8)
        given = cv2.imread(str(tiny_world.images / f"f001{stain.suffix}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), given)


@pytest.mark.parametrize(
    ("ask", "status", "told"),
    [
        (lambda c: c.post("/v1/predict"), 415, "multipart/form-data"),
        (lambda c: c.post("/v1/predict", data={"files": "text"}, files=[("other", ("a.png", b"x"))]), 422, "No file"),
        (lambda c: c.post("/v1/predict?model=none", files=[("files", ("a.png", b"x"))]), 404, "expected one of tiny"),
        (lambda c: c.post("/v1/predict?adapt=7x", files=[("files", ("a.png", b"x"))]), 422, "adapt"),
        (lambda c: c.post("/v1/predict", files=[("files", ("a_green.png", b"0" * 300_000))]), 413, "MiB"),
        (lambda c: c.post("/v1/predict", files=[("files", (f"{n}.png", b"")) for n in range(41)]), 400, "files"),
        (lambda c: c.post("/v1/predict", content=b"--x", headers={"content-type": "multipart/form-data"}), 400, "form"),
        (lambda c: c.get("/v1/predict"), 405, ""),
        (lambda c: c.get("/v1/examples/none"), 404, "expected one of"),
        (lambda c: c.get("/../../etc/passwd"), 404, ""),
        (lambda c: c.get("/%2e%2e/%2e%2e/app.py"), 404, ""),
        (lambda c: c.get("/", headers={"host": "evil.example"}), 421, "not called 'evil.example'"),
        (lambda c: c.post("/v1/predict", headers={"origin": "http://evil.example"}), 403, "another origin"),
        (lambda c: c.post("/v1/predict", headers={"content-length": "many"}), 400, ""),
    ],
)
def test_what_is_refused_is_told(
    client: TestClient, ask: Callable[[TestClient], httpx.Response], status: int, told: str
) -> None:
    reply = ask(client)
    assert reply.status_code == status
    assert told in reply.text
    for name, value in HEADERS.items():
        assert reply.headers[name] == value


def test_a_body_longer_than_it_says_is_cut_off(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a_green.png"\r\n\r\n'
        for _ in range(400):
            yield b"0" * 1000

    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = client.post("/v1/predict", content=endless(), headers=headers)
    assert reply.status_code == 413


def test_an_image_larger_than_allowed_is_not_decoded(client: TestClient) -> None:
    bomb = cv2.imencode(".png", np.zeros((2000, 2000), np.uint8))[1].tobytes()
    assert len(bomb) < 20_000
    reply = client.post("/v1/predict", files=[("files", ("a_green.png", bomb))])
    assert (reply.status_code, "more than the limit of 10000 px" in reply.json()["detail"]) == (422, True)


def test_a_token_is_asked_for_where_there_is_one(bundle: Bundle) -> None:
    app = create_app({"tiny": Model("tiny", bundle)}, Limits(token="secret"))  # noqa: S106
    with TestClient(app, base_url=HOST) as client:
        assert client.get("/").status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/v1/models", headers={"authorization": "Bearer secret"}).status_code == 200


def test_who_comes_when_all_is_full_is_told_to_come_back(bundle: Bundle, tiny_world) -> None:
    app = create_app({"tiny": Model("tiny", bundle)}, Limits(requests=1))

    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            files = files_of(tiny_world.images, "f001")
            return await asyncio.gather(*(client.post("/v1/predict", files=files) for _ in range(3)))

    replies = asyncio.run(both())
    assert sorted(reply.status_code for reply in replies) == [200, 503, 503]
    assert {reply.headers.get("retry-after") for reply in replies if reply.status_code == 503} == {"2"}


def test_what_takes_too_long_is_ended(bundle: Bundle, tiny_world, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("tiny", bundle)
    monkeypatch.setattr(model, "submit", lambda _: Future())  # an answer that never comes
    with TestClient(create_app({"tiny": model}, Limits(seconds=0.5)), base_url=HOST) as client:
        client.app.state.ready = True  # pyright: ignore[reportAttributeAccessIssue]
        reply = client.post("/v1/predict", files=files_of(tiny_world.images, "f001"))
    assert reply.status_code in (422, 504)  # 422 if even starting the decoder took longer
    assert "longer than" in reply.json()["detail"]


def test_state_is_told(client: TestClient, tiny_world) -> None:
    client.post("/v1/predict", files=files_of(tiny_world.images, "f001"))
    assert client.get("/healthz").json()["models"] == ["tiny"]
    counted = client.get("/metrics").text
    assert 'protloc_requests_total{route="/v1/predict",status="200"}' in counted
    assert 'protloc_fields_total{outcome="read"}' in counted
    (facts,) = client.get("/v1/models").json()
    assert facts["needed"] == ["green"]
    assert facts["classes"] == ["Disc", "Ring", "Bars"]


def test_the_page_asks_nobody_else(client: TestClient) -> None:
    page = client.get("/").text
    for file in files(protloc.serve).joinpath("page").iterdir():
        found = client.get(f"/{file.name}")
        assert found.status_code == 200
        page += found.text
    assert "<style" not in page
    assert "innerHTML" not in page
    assert "<script>" not in page
    outside = {word for word in page.split('"') if word.startswith("http")}
    assert outside <= {
        "http://www.w3.org/2000/svg", "http://127.0.0.1:8000/v1/predict", "https://amigo.geneontology.org/amigo/term/",
    }  # fmt: skip


def test_examples_can_be_sent(client: TestClient) -> None:
    names = client.get("/v1/examples").json()
    example = client.get(f"/v1/examples/{names[0]}").json()
    assert [each["name"].rsplit("_")[-1] for each in example["files"]] == [
        "red.png", "green.png", "blue.png", "yellow.png",
    ]  # fmt: skip


def test_a_worker_that_dies_takes_only_its_job_with_it(tiny_world) -> None:
    from protloc.atlas.reading import Reading
    from protloc.atlas.uploads import Upload

    uploads = tuple(Upload.named(name, content) for _, (name, content) in files_of(tiny_world.images, "f001"))
    job = Job(uploads, Reading(side=SIDE), ("green",))
    pool = DecodePool(1, seconds=60, memory=2**30)
    try:
        assert isinstance(pool.submit(job).result(), Decoded)
        (pid,) = pool.pids()
        os.kill(pid, signal.SIGSTOP)  # so that the next job is surely in its hands when it dies
        struck = pool.submit(job)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DecodingError, match="died of them"):
            struck.result()
        assert [field.id for field in pool.submit(job).result().fields] == ["f001"]
        assert pool.pids() != [pid]
    finally:
        pool.close()
    assert pool.pids() == []


def test_requests_that_wait_are_answered_in_one_batch(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, free = Engine(bundle, eye_of(bundle, in_threads=True)), threading.Event()
    images = np.random.default_rng(0).integers(0, 200, (5, 4, SIDE, SIDE), dtype=np.uint8)
    alone = [engine.submit(image[None]).result() for image in images]
    look = engine.look
    monkeypatch.setattr(engine, "look", lambda images: free.wait() and look(images))
    try:
        first = engine.submit(images)
        while not first.running():
            pass
        waited = [engine.submit(image[None]) for image in images]
        before = engine.batches
        free.set()
        together = [each.result() for each in waited]
        assert engine.batches == before + 2  # the first, and all that came meanwhile
    finally:
        free.set()
        engine.close()
    for each, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(each.logits, other.logits, atol=1e-5)
        np.testing.assert_allclose(each.embeddings, other.embeddings, atol=1e-5)


def test_poses_are_averaged_where_the_model_answers_so(bundle: Bundle) -> None:
    turned = replace(bundle, rule=replace(bundle.rule, poses=8))
    engine = Engine(turned, eye_of(turned, in_threads=True))
    images = np.random.default_rng(0).integers(0, 200, (3, 4, SIDE, SIDE), dtype=np.uint8)
    logits = engine.submit(images).result().logits
    engine.close()
    np.testing.assert_allclose(logits, see(turned, [images]).logits, atol=1e-5)


def test_models_of_one_name_are_told_apart(bundle: Bundle) -> None:
    models = named_models([("run", bundle), ("run", bundle), ("other", bundle)])
    assert list(models) == ["run", "run (2)", "other"]
    for model in models.values():
        model.close()


@pytest.fixture
def running(bundle: Bundle, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``protloc serve`` with one decoder, as a user does; return it and its address."""
    bundle.save(tmp_path / "bundle")
    command = "from protloc.cli import main; main()"
    arguments = ["serve", str(tmp_path / "bundle"), "--port", "0", "--set", "decoders=1"]
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[0]
        process.kill()


def children_of(pid: int) -> set[int]:
    return {int(child) for told in Path(f"/proc/{pid}/task").glob("*/children") for child in told.read_text().split()}


def decoder_of(process: subprocess.Popen[str]) -> int:
    """Return the process that decodes; the other child of a server keeps count of its semaphores."""
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children_of(process.pid)}
    (decoder,) = (child for child, command in commands.items() if b"spawn_main" in command)
    return decoder


def await_waiting(address: str, requests: int) -> None:
    """Return when so many requests are in work or wait."""
    while httpx.get(f"{address}/healthz").json()["waiting"] < requests:
        pass
    for _ in range(20):  # and were handed on
        httpx.get(f"{address}/healthz")


def test_a_decoder_killed_under_load_takes_one_request_with_it(running, tiny_world) -> None:
    process, address = running
    files = files_of(tiny_world.images, "f001")

    def asked() -> httpx.Response:
        return httpx.post(f"{address}/v1/predict", files=files, timeout=120)

    assert asked().status_code == 200  # the decoder lives from here on
    with ThreadPoolExecutor(8) as many:
        decoder = decoder_of(process)
        os.kill(decoder, signal.SIGSTOP)
        replies = [many.submit(asked) for _ in range(8)]
        await_waiting(address, 8)
        os.kill(decoder, signal.SIGKILL)
        answers = [reply.result() for reply in replies]
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [422]
    assert "died of them" in next(answer.json()["detail"] for answer in answers if answer.status_code == 422)
    assert decoder_of(process) != decoder


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_accepted_requests_are_finished_before_it_stops(running, tiny_world, stop: signal.Signals) -> None:
    process, address = running
    files = files_of(tiny_world.images, "f001")
    with ThreadPoolExecutor(4) as many, httpx.Client(base_url=address, timeout=120) as client:
        expected = client.post("/v1/predict", files=files).json()
        decoder = decoder_of(process)
        os.kill(decoder, signal.SIGSTOP)  # so that the requests are surely unfinished when it is told to stop
        replies = [many.submit(httpx.post, f"{address}/v1/predict", files=files, timeout=120) for _ in range(4)]
        await_waiting(address, 4)
        os.killpg(process.pid, stop) if stop is signal.SIGINT else process.send_signal(stop)  # as Ctrl-C does, and kill
        os.kill(decoder, signal.SIGCONT)
        assert [reply.result().json() for reply in replies] == [expected] * 4
    assert process.wait(60) in (0, -stop, 128 + stop)  # told to stop, it says so once all is done
    assert not Path(f"/proc/{decoder}").exists()


def answered_by(bundle: Bundle, folder: Path, *ids: str, to: str = "predict") -> list[dict]:
    """Ask a bundle about fields and return the answers."""
    app = create_app({"one": Model("one", bundle)}, Limits(decoders=1))
    with TestClient(app, base_url=HOST, raise_server_exceptions=False) as client:
        reply = client.post(f"/v1/{to}?pictures=true", files=files_of(folder, *ids))
    assert reply.status_code == 200, reply.text
    return reply.json()["fields"]


def test_a_bundles_bit_depth_is_that_of_uploads_too(bundle: Bundle, tmp_path: Path) -> None:
    deep, pixels = replace(bundle, bit_depth=16), np.random.default_rng(1).integers(0, 4096, (SIDE, SIDE), np.uint16)
    for stain in HPA_STAINS:
        cv2.imwrite(str(tmp_path / f"a{stain.suffix}.png"), pixels)
    (field,) = answered_by(deep, tmp_path, "a")
    assert field["bit_depth"] == 16
    told = {each["name"]: each["probability"] for each in field["classes"]}
    said = predict(deep, tmp_path).answers.probabilities[0]
    assert [told[name] for name in bundle.vocabulary.names] == pytest.approx(said.tolist(), abs=1e-5)
    plain = predict(bundle, tmp_path).answers.probabilities[0]
    assert said.tolist() != pytest.approx(plain.tolist(), abs=1e-3)


def test_each_tile_has_its_own_answer_picture_and_heat(bundle: Bundle, tiny_world) -> None:
    tiled = replace(bundle, tile=SIDE // 2)
    said = predict(tiled, tiny_world.images)
    fields = answered_by(tiled, tiny_world.images, "f003")
    assert [field["id"] for field in fields] == [name for name in said.ids if name.startswith("f003.")]
    assert len(fields) > 1
    assert {field["source"] for field in fields} == {"f003"}
    for field in fields:
        told = {each["name"]: each["probability"] for each in field["classes"]}
        probabilities = said.answers.probabilities[said.ids.index(field["id"])]
        assert [told[name] for name in bundle.vocabulary.names] == pytest.approx(probabilities.tolist(), abs=1e-5)
    assert len({field["pictures"][0]["png"] for field in fields}) == len(fields)
    explained = answered_by(tiled, tiny_world.images, "f003", to="explain")
    assert [field["id"] for field in explained] == [field["id"] for field in fields]
    assert all(len(field["maps"]) == 3 for field in explained)


def test_a_charset_that_is_none_is_told(client: TestClient) -> None:
    kind = "multipart/form-data; boundary=x; charset=undefined"
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    reply = client.post("/v1/predict", content=body, headers={"content-type": kind})
    assert reply.status_code in (400, 422), reply.text


def test_a_mistake_of_our_own_has_the_headers_too(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("one", bundle)
    monkeypatch.setattr(model, "reply", operator.truediv)  # which takes no such arguments
    with TestClient(create_app({"one": model}, Limits()), base_url=HOST) as client:
        image = cv2.imencode(".png", np.full((SIDE, SIDE), 7, np.uint8))[1].tobytes()
        reply = client.post("/v1/predict", files=[("files", ("a_green.png", image))])
    assert reply.status_code == 500
    assert all(reply.headers[name] == value for name, value in HEADERS.items())
    assert "detail" in reply.json()


def test_a_decoder_that_dies_while_it_starts_is_told(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(protloc.serve.decoding, "work", operator.add)  # which cannot add a pipe and a number
    pool = DecodePool(1, seconds=60, memory=2**30)
    with pytest.raises(DecodingError, match="no process could be started"):
        pool.submit(Job((), Model("one", bundle).reading(None, 100), ())).result()
    assert pool.pids() == []
    pool.close()
    assert "TypeError" in capfd.readouterr().err
