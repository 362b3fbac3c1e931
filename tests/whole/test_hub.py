"""Encoders through the Hugging Face hub's own client, against a stand-in for its server on this
machine.
"""

import base64
import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import allen_server
import bwb_files
import pandas as pd
import pytest
import torch
from helpers import TINY
from huggingface_hub import ModelCard

import nuclr_lite as nl
from nuclr_lite.experiments import brainwidebench
from nuclr_lite.sources.published import embeddings

COMMIT = "0" * 39 + "1"


class Hub(ThreadingHTTPServer):
    """Repositories as dictionaries of files, and what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories, self.asked = {}, []


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, content=b"", status=200, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            "Content-Length": len(content),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self):
        path, repositories = unquote(urlsplit(self.path).path), self.server.repositories
        self.server.asked.append(f"{self.command} {path}")
        if found := re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/(\w+)/(.+)", path):
            content = repositories.get(found[1], {}).get(found[3])
            if content is None:
                return self.answer(
                    {"error": "Entry not found"},
                    404,
                    X_Error_Code="EntryNotFound",
                    X_Repo_Commit=COMMIT,
                )
            return self.answer(
                content,
                ETag=f'"{hashlib.sha256(content).hexdigest()}"',
                X_Repo_Commit=COMMIT,
                Accept_Ranges="bytes",
            )
        if found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)(/revision/\w+)?", path):
            if found[1] not in repositories:
                return self.answer(
                    {"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound"
                )
            files = repositories[found[1]]
            return self.answer(
                {
                    "id": found[1],
                    "modelId": found[1],
                    "sha": COMMIT,
                    "private": True,
                    "tags": [],
                    "siblings": [{"rfilename": name} for name in files],
                }
            )
        if found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/tree/\w+", path):
            return self.answer(
                [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for name, content in repositories[found[1]].items()
                ]
            )
        return self.answer({"error": f"no such page: {path}"}, 404)

    do_HEAD = do_GET

    def do_POST(self):
        path, repositories = unquote(urlsplit(self.path).path), self.server.repositories
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"POST {path} {self.headers.get('Authorization')}")
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.server.asked.append(f"to make: {asked}")
            name = f"{asked['organization']}/{asked['name']}"
            repositories.setdefault(name, {})
            return self.answer({"url": f"http://{self.headers['Host']}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/preupload/main", path):
            return self.answer(
                {
                    "files": [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in json.loads(body)["files"]
                    ]
                }
            )
        if found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/commit/main", path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    repositories[found[1]][line["value"]["path"]] = base64.b64decode(
                        line["value"]["content"]
                    )
            return self.answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/{found[1]}/commit/{COMMIT}",
                    "commitOid": COMMIT,
                }
            )
        return self.answer({"error": f"no such page: {path}"}, 404)


@pytest.fixture
def hub():
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


def test_shared_and_fetched_again(hub, recordings, tmp_path):
    trained = nl.pretrain(recordings, TINY)
    address = trained.push_to_hub("somebody/mine", token="hf_secret", endpoint=hub.address)
    assert address == f"{hub.address}/somebody/mine" and any(
        "Bearer hf_secret" in asked for asked in hub.asked
    )
    assert any(asked.startswith("to make") and "private" in asked for asked in hub.asked)
    assert {"encoder.safetensors", "README.md"} <= set(hub.repositories["somebody/mine"])
    hub.repositories["somebody/mine"]["run_me.py"] = b"raise SystemExit"
    fetched = nl.Pretrained.from_pretrained(
        "somebody/mine", cache_dir=tmp_path, endpoint=hub.address
    )
    for name, value in trained.encoder.state_dict().items():
        assert torch.equal(fetched.encoder.state_dict()[name], value)
    assert fetched.preset == trained.preset and fetched.trained_on.equals(trained.trained_on)
    assert not list(tmp_path.rglob("run_me.py")), "only what an encoder consists of is fetched"


@pytest.mark.filterwarnings("ignore:.*its units lie")
def test_what_reads_labels_is_shared_with_its_encoder(hub, recordings, tmp_path):
    trained = nl.pretrain(recordings, TINY.with_(steps=1))
    units, embedding = nl.units_table(recordings), nl.embed(trained.encoder, recordings)
    reader = nl.ZeroShot.fit(embedding, units["area"], units["animal_id"], pretrained=trained)
    reader.push_to_hub("somebody/labels", endpoint=hub.address)
    options = {"cache_dir": tmp_path, "endpoint": hub.address}
    fetched = nl.ZeroShot.from_pretrained("somebody/labels", **options)
    pd.testing.assert_frame_equal(fetched.read(recordings), reader.read(recordings))
    alone = nl.Pretrained.from_pretrained("somebody/labels", **options)
    assert alone.preset == trained.preset
    card = ModelCard(hub.repositories["somebody/labels"]["README.md"].decode())
    assert card.data.library_name == "nuclr_lite" and "## Labels" in card.text


def test_a_repository_that_is_not_there(hub, tmp_path):
    with pytest.raises(Exception, match="somebody/else"):
        nl.Pretrained.from_pretrained("somebody/else", cache_dir=tmp_path, endpoint=hub.address)


def test_the_card_is_one_that_the_hub_reads(recordings, tmp_path):
    trained = nl.pretrain(recordings, TINY)
    scores = pd.DataFrame({"method": ["NuCLR"], "metric": ["macro_f1"], "estimate": [0.51234]})
    card = ModelCard.load(trained.save(tmp_path / "model", scores=scores) / "README.md")
    assert card.data.library_name == "nuclr_lite" and "neuroscience" in card.data.tags
    for fact in (
        "3 animals, 3 recordings",
        f"{trained.trained_on['n_units'].sum()} units",
        "0.512",
        "6 steps of 8 pairs",
        "seed 0",
        "a window is 2 s long",
    ):
        assert fact in card.text, fact


@pytest.mark.parametrize("seed", [42, 46])
def test_the_authors_weights_are_fetched_once_and_loaded(seed, hub, tmp_path):
    state = {"rotary_emb.omega": torch.ones(1)}
    torch.save({"model_state_dict": state, "ssl_loss_state_dict": {}}, tmp_path / "official.pt")
    hub.repositories["nerdslab/ibl-bwb-nuclr"] = {
        f"nuclr_{seed}.pt": (tmp_path / "official.pt").read_bytes()
    }
    for _ in range(2):
        path = nl.download_official_weights(seed, tmp_path / "cache", endpoint=hub.address)
    assert path.read_bytes() == (tmp_path / "official.pt").read_bytes()
    assert sum(asked.startswith("GET /nerdslab") for asked in hub.asked) == 1
    with pytest.raises(ValueError, match="seed is 7; published are 42, 43, 44, 45, 46"):
        nl.download_official_weights(7, tmp_path / "cache", endpoint=hub.address)


def test_the_authors_number_from_bucket_and_hub(hub, tmp_path):
    """Everything that `score` fetches, once; then it needs no network."""
    files = {
        f"nuclr_embeddings_{seed}.pt": bwb_files.write_embeddings(
            tmp_path / f"{seed}.pt", bwb_files.embeddings(seed), numpy_layout=1 + seed % 2
        ).read_bytes()
        for seed in (42, 43)
    }
    hub.repositories["nerdslab/ibl-bwb-nuclr"] = files
    options = {"wanted": bwb_files.WANTED, "at_once": 1, "exact": False}
    options |= {"cache_dir": tmp_path / "cache", "endpoint": hub.address}
    with allen_server.Server(files=bwb_files.bucket(tmp_path / "bucket", n_spikes=10)) as bucket:
        with pytest.warns(UserWarning, match="not the benchmark's"):
            scores = brainwidebench.score((42, 43), url=bucket.url, **options)
    with pytest.raises(OSError, match="nuclr_embeddings_44.pt"):
        embeddings.download_embeddings(44, cache_dir=tmp_path / "hub", endpoint=hub.address)
    asked = len(hub.asked)
    assert asked and len(list((tmp_path / "cache").iterdir())) == 2, "all of it in one folder"
    hub.shutdown()
    hub.server_close()
    with pytest.warns(UserWarning, match="not the benchmark's"):
        again = brainwidebench.score((42, 43), url=bucket.url, **options)
    pd.testing.assert_frame_equal(again, scores)
    assert len(hub.asked) == asked
    means = brainwidebench.summary(scores).set_index(["readout", "metric"])["mean"]
    assert 0.3 < means["single", "macro_f1"] < 1


def test_without_the_hubs_client(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        embeddings.download_embeddings(42, cache_dir=tmp_path)
