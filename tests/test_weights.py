"""Laws of the weights registry, against a local server that stands for the hub and misbehaves on demand."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from joyvasa import download, weight_store, weights
from joyvasa.weight_entries import ENTRIES, Entry, WeightFile

BIG = bytes(range(256)) * 400  # 102,400 bytes
SMALL = b'{"hidden_size": 768}'
OTHER = BIG[::-1]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Hub:
    """What the server holds and how it misbehaves; `asked` lists (path, first byte wanted)."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    etag: str = '"one"'
    ranges: bool = True
    cut_after: int | None = None  # bytes per connection
    cuts: int = 10**9  # connections that are cut
    status: int | None = None
    url: str = ""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            state.asked.append((self.path, start))
            whole = state.files.get(self.path)
            status = state.status or (404 if whole is None else 200)
            if status != 200:
                return self.send_error(status)
            start = start if state.ranges else 0
            if start >= len(whole):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            self.send_header("Content-Length", str(len(whole) - start))
            self.send_header("ETag", state.etag)
            self.end_headers()
            body = whole[start:]
            if state.cut_after is not None and state.cuts > 0:
                state.cuts -= 1
                body = body[: state.cut_after]
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("JOYVASA_HUB", state.url)
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    yield state
    server.shutdown()
    server.server_close()


def register(monkeypatch, *files: WeightFile, name: str = "tiny", source: str = "owner/tiny-net", **fields) -> Entry:
    facts = dict(licence="MIT", commercial_use=True, used_by="tests", note="", revision="abc") | fields
    entry = Entry(name=name, source=source, files=files, **facts)
    monkeypatch.setitem(ENTRIES, name, entry)
    return entry


@pytest.fixture
def tiny(hub, monkeypatch):
    """A pinned and an unpinned file, both on the hub."""
    hub.files = {"/owner/tiny-net/resolve/abc/net/model.bin": BIG, "/owner/tiny-net/resolve/abc/config.json": SMALL}
    return register(monkeypatch, WeightFile("net/model.bin", len(BIG), sha(BIG)), WeightFile("config.json"))


def store() -> Path:
    return weight_store.root() / "tiny"


def lock() -> dict:
    return json.loads((store() / "lock.json").read_text())["files"]


def leftovers() -> set[str]:
    return {path.name for path in store().iterdir()} - {"model.bin", "config.json", "lock.json"}


def run(*arguments: str) -> int:
    return weights.main(list(arguments))


# The registry


def test_every_entry_of_the_plan_is_registered():
    wanted = "hubert_zh wav2vec2 hubert joyvasa liveportrait liveportrait_animals xpose insightface"
    wanted += " syncnet s3fd i3d i3d_videogpt inception lpips"
    assert set(ENTRIES) == set(wanted.split())


KNOWN = """
appearance_feature_extractor.pth 5279bb8654293dbdf327030b397f107237dd9212fb11dd75b83dfb635211ceb5 3387959
motion_extractor.pth 251e6a94ad667a1d0c69526d292677165110ef7f0cf0f6d199f0e414e8aa0ca5 112545506
spade_generator.pth 4780afc7909a9f84e24c01d73b31a555ef651521a1fe3b2429bd04534d992aee 221813590
warping_module.pth 2f61a6f265fe344f14132364859a78bdbbc2068577170693da57fb96d636e282 182180086
stitching_retargeting_module.pth 3652d5a3f95099141a56986aaddec92fadf0a73c87a20fac9a2c07c32b28b611 2393098
landmark.onnx 31d22a5041326c31f19b78886939a634a5aedcaa5ab8b9b951a1167595d147db 114666491
det_10g.onnx 5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91 16923827
2d106det.onnx f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf 5030888
"""


def test_published_hashes_and_sizes_are_the_ones_known():
    registered = {
        (each.name, each.sha256, each.size) for name in ("liveportrait", "insightface") for each in ENTRIES[name].files
    }
    for name, sha256, size in (line.split() for line in KNOWN.strip().splitlines()):
        assert (name, sha256, int(size)) in registered


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_an_entry_is_complete_and_cautious(entry):
    for each in (*entry.files, *([entry.archive] if entry.archive else [])):
        assert each.sha256 is None or re.fullmatch("[0-9a-f]{64}", each.sha256) and each.size
        assert re.match("https://[^/]+/.+[^/]$", entry.address(each, "https://hub"))
        on_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", entry.source)
        assert on_hub or each.url or entry.archive
    assert len({each.name for each in entry.files}) == len(entry.files)
    assert entry.licence and entry.used_by
    assert not (entry.commercial_use and re.search("unknown|non-commercial", entry.licence))


def test_the_page_on_weights_tells_what_the_registry_tells():
    page = (Path(__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines() if row.startswith("| `")]
    told = {cells[0].strip("`"): cells for cells in rows}
    assert list(told) == list(ENTRIES)
    for entry in ENTRIES.values():
        _, source, licence, commercial, _ = told[entry.name]
        assert entry.source.split("//")[-1] in source and commercial == ("yes" if entry.commercial_use else "no")
        assert licence.split()[0].strip(",;") == entry.licence.split()[0].strip(",;")


# Fetching


def test_pull_brings_checks_and_records_everything_and_then_rests(hub, tiny, capsys):
    assert run("pull", "tiny") == 0
    assert (weights.where("tiny") / "model.bin").read_bytes() == BIG
    assert weights.file("tiny", "config.json").read_bytes() == SMALL
    assert {name: (row["status"], row["sha256"], row["size"]) for name, row in lock().items()} == {
        "model.bin": ("pinned", sha(BIG), len(BIG)),
        "config.json": ("recorded", sha(SMALL), len(SMALL)),
    }
    assert lock()["model.bin"]["source"] == f"{hub.url}/owner/tiny-net/resolve/abc/net/model.bin"
    assert not leftovers()
    asked = len(hub.asked)
    capsys.readouterr()
    assert run("pull", "tiny") == 0 and len(hub.asked) == asked
    assert "nothing to fetch" in capsys.readouterr().out


def test_a_connection_cut_again_and_again_costs_no_byte_twice(hub, tiny):
    hub.cut_after = 30_000
    weights.pull("tiny")
    assert weights.file("tiny", "model.bin").read_bytes() == BIG
    assert [start for path, start in hub.asked if path.endswith("bin")] == [0, 30_000, 60_000, 90_000]


def test_a_later_call_goes_on_where_an_interrupted_one_stopped(hub, tiny, monkeypatch):
    hub.cut_after = 30_000
    monkeypatch.setattr(download, "FRUITLESS_TRIES", 0)
    with pytest.raises(OSError, match="closed after 30000 of 102400 bytes"):
        weights.pull("tiny")
    assert (store() / "model.bin.part").stat().st_size == 30_000 and not (store() / "model.bin").exists()
    hub.cut_after, hub.asked = None, []
    weights.pull("tiny")
    assert hub.asked[0] == ("/owner/tiny-net/resolve/abc/net/model.bin", 30_000)
    assert weights.file("tiny", "model.bin").read_bytes() == BIG and not leftovers()


def test_a_server_without_ranges_is_asked_for_the_whole_file(hub, tiny):
    hub.cut_after, hub.cuts, hub.ranges = 30_000, 2, False
    weights.pull("tiny")
    assert weights.file("tiny", "model.bin").read_bytes() == BIG


def test_a_server_that_always_cuts_and_knows_no_ranges_is_given_up(hub, tiny):
    hub.cut_after, hub.ranges = 30_000, False
    with pytest.raises(OSError, match="no answer after 4 tries"):
        weights.pull("tiny")


@pytest.mark.parametrize("change", ["etag", "size"])
def test_parts_of_two_versions_are_never_joined(hub, tiny, change):
    path = "/owner/tiny-net/resolve/abc/config.json"
    hub.files[path] = BIG
    store().mkdir(parents=True)
    (store() / "config.json.part").write_bytes(BIG[:50_000])
    (store() / "config.json.part.json").write_text(json.dumps({"mark": hub.etag, "size": len(BIG)}))
    hub.files[path], hub.etag = (OTHER, '"two"') if change == "etag" else (OTHER + b"x", hub.etag)
    weights.pull("tiny")
    assert weights.file("tiny", "config.json").read_bytes() == hub.files[path]


def test_a_part_of_unknown_version_is_begun_anew(hub, tiny):
    store().mkdir(parents=True)
    (store() / "config.json.part").write_bytes(b"rubbish")
    (store() / "model.bin.part").write_bytes(BIG + BIG)
    weights.pull("tiny")
    assert weights.file("tiny", "config.json").read_bytes() == SMALL
    assert weights.file("tiny", "model.bin").read_bytes() == BIG


def test_wrong_content_is_refused_with_both_hashes_and_leaves_nothing(hub, tiny, capsys):
    hub.files["/owner/tiny-net/resolve/abc/net/model.bin"] = OTHER
    assert run("pull", "tiny") == 1
    said = capsys.readouterr().err
    assert sha(BIG) in said and sha(OTHER) in said and said.count("\n") == 1
    assert not (store() / "model.bin").exists() and not leftovers()
    hub.files["/owner/tiny-net/resolve/abc/net/model.bin"] = BIG
    assert run("pull", "tiny") == 0


def test_a_file_of_another_size_is_refused_before_it_is_fetched(hub, tiny):
    hub.files["/owner/tiny-net/resolve/abc/net/model.bin"] = b"<html>" * 100
    with pytest.raises(OSError, match="offers 600 bytes .expected 102400."):
        weights.pull("tiny")
    assert not leftovers()


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 4)])
def test_refusals_of_the_server_are_told_and_passing_ones_tried_again(hub, tiny, capsys, status, requests):
    hub.status = status
    assert run("pull", "tiny") == 1
    assert f"HTTP {status}" in capsys.readouterr().err and len(hub.asked) == requests


def test_without_network_one_sentence_says_what_is_missing_and_what_to_type(tiny, monkeypatch, capsys):
    monkeypatch.setenv("JOYVASA_HUB", "http://127.0.0.1:9")
    assert run("pull", "tiny") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "model.bin, config.json" in said
    assert "python -m joyvasa.weights pull tiny" in said and "python -m joyvasa.weights import PATH --as tiny" in said


def test_only_http_addresses_are_fetched(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("JOYVASA_HUB", f"file://{tmp_path}")
    with pytest.raises(OSError, match="not an http"):
        weights.pull("tiny")


def test_an_unpinned_file_is_held_to_its_first_copy(hub, tiny, tmp_path):
    weights.pull("tiny")
    (store() / "config.json").unlink()
    hub.files["/owner/tiny-net/resolve/abc/config.json"] = b"changed"
    with pytest.raises(OSError, match=f"{sha(b'changed')} .expected {sha(SMALL)}.*recorded with the first copy"):
        weights.pull("tiny")
    (tmp_path / "config.json").write_bytes(b"changed")
    with pytest.raises(ValueError, match=sha(SMALL)):
        weights.import_files(tmp_path / "config.json", "tiny", unverified=False)
    assert not (store() / "config.json").exists()


def test_a_pinned_file_found_in_the_store_is_adopted(hub, tiny):
    store().mkdir(parents=True)
    (store() / "model.bin").write_bytes(BIG)
    with pytest.raises(FileNotFoundError, match="model.bin .never checked."):
        weights.where("tiny")
    assert weights.pull("tiny") == ["config.json"]
    assert lock()["model.bin"]["status"] == "pinned"


def archive_bytes(tmp_path: Path, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(tmp_path / "made.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return (tmp_path / "made.zip").read_bytes()


def zipped(monkeypatch, hub, tmp_path, data: bytes) -> Entry:
    hub.files["/pack.zip"] = data
    archive = WeightFile("pack.zip", len(data), sha(data), f"{hub.url}/pack.zip")
    return register(monkeypatch, WeightFile("model.bin", len(BIG), sha(BIG)), archive=archive, source="https://x.org/x")


def test_an_archive_is_unpacked_by_name_and_writes_nowhere_else(hub, monkeypatch, tmp_path):
    members = {"../../evil.txt": b"evil", "/abs.txt": b"evil", "pack/sub/model.bin": BIG, "pack/extra.bin": SMALL}
    zipped(monkeypatch, hub, tmp_path, archive_bytes(tmp_path, members))
    assert weights.pull("tiny") == ["model.bin"]
    assert {path.name for path in store().iterdir()} == {"model.bin", "lock.json"}
    assert not list(tmp_path.rglob("evil.txt")) and not list(tmp_path.rglob("extra.bin"))


def test_archives_that_lack_a_file_or_hold_a_wrong_one_are_refused(hub, monkeypatch, tmp_path, capsys):
    for members, said in (({"else.bin": BIG}, "lacks model.bin"), ({"model.bin": OTHER}, sha(OTHER))):
        zipped(monkeypatch, hub, tmp_path, archive_bytes(tmp_path, members))
        assert run("pull", "tiny") == 1 and said in capsys.readouterr().err
        assert not list(store().iterdir())
    (tmp_path / "pack.zip").write_bytes(archive_bytes(tmp_path, {"model.bin": BIG})[:-30])
    assert run("import", str(tmp_path / "pack.zip"), "--as", "tiny") == 1
    assert "pack.zip: not a whole zip archive" in capsys.readouterr().err


# Importing


def test_files_are_imported_as_links_and_missing_ones_are_named(tiny, tmp_path, capsys):
    (tmp_path / "model.bin").write_bytes(BIG)
    assert run("import", str(tmp_path / "model.bin"), "--as", "tiny") == 0
    said = capsys.readouterr().out
    assert "incomplete" in said and "missing: config.json" in said and "pinned" in said
    assert os.path.samefile(tmp_path / "model.bin", weights.file("tiny", "model.bin"))
    with pytest.raises(FileNotFoundError, match="config.json"):
        weights.where("tiny")
    assert weights.pull("tiny") == ["config.json"]


def test_import_copies_where_links_are_not_possible(tiny, tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "model.bin").write_bytes(BIG)
    weights.import_files(tmp_path, "tiny", unverified=False)
    (tmp_path / "model.bin").write_bytes(b"later")
    assert weights.file("tiny", "model.bin").read_bytes() == BIG


def test_a_wrong_hash_is_refused_whole_unless_unverified_and_then_shown(tiny, tmp_path, capsys):
    (tmp_path / "model.bin").write_bytes(OTHER)
    (tmp_path / "config.json").write_bytes(SMALL)
    assert run("import", str(tmp_path), "--as", "tiny") == 1
    said = capsys.readouterr().err
    assert sha(OTHER) in said and sha(BIG) in said and "--unverified" in said and not list(store().iterdir())
    assert run("import", str(tmp_path), "--as", "tiny", "--unverified") == 0
    assert weights.where("tiny") == store() and lock()["model.bin"]["status"] == "unverified"
    capsys.readouterr()
    assert run("list") == 0 and run("verify", "tiny") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("tiny")]
    assert rows[0][1] == "unverified" and rows[1][1:4] == ["model.bin", "unverified", "ok"]
    assert run("pull", "tiny") == 0 and "stay" in capsys.readouterr().out


def tree(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = tmp_path / "pretrained_weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "pretrained_weights"


def test_the_official_layout_is_understood_where_names_repeat(hub, monkeypatch, tmp_path):
    models = {"people": "Owner/Portrait", "animals": "Owner/Portrait", "speech": "Owner/speech-net"}
    register(monkeypatch, WeightFile("portrait/base/net.pth"), name="people", source=models["people"])
    register(monkeypatch, WeightFile("portrait_animals/base/net.pth"), name="animals", source=models["animals"])
    register(monkeypatch, WeightFile("config.json"), name="speech", source=models["speech"])
    folder = tree(
        tmp_path,
        {
            "portrait/base/net.pth": b"people",
            "portrait_animals/base/net.pth": b"animals",
            "Owner:speech-net/config.json": b"speech",
            "other-net/config.json": b"other",
        },
    )
    for name in models:
        weights.import_files(folder, name, unverified=False)
        assert next(weights.where(name).glob("[nc]*[nh]")).read_bytes() == name.encode()
    moved = tmp_path / "another_store"
    weight_store.root().rename(moved)
    for name in models:  # a whole store from another machine
        weights.import_files(moved, name, unverified=False)
        assert next(weights.where(name).glob("[nc]*[nh]")).read_bytes() == name.encode()


def test_two_candidates_are_told_apart_by_hash_or_refused(tiny, tmp_path):
    folder = tree(tmp_path, {"a/model.bin": OTHER, "b/model.bin": BIG})
    assert weights.import_files(folder, "tiny", unverified=False) == (["model.bin"], ["config.json"])
    tree(tmp_path, {"a/config.json": SMALL, "b/config.json": b"{}"})
    with pytest.raises(ValueError, match="a/config.json and .*b/config.json could both be config.json of tiny"):
        weights.import_files(folder, "tiny", unverified=False)


def test_a_file_known_to_be_of_another_entry_is_refused(tiny, monkeypatch, tmp_path):
    register(monkeypatch, WeightFile("model.bin"), name="unpinned")
    (tmp_path / "model.bin").write_bytes(BIG)
    with pytest.raises(ValueError, match="this is model.bin of tiny .expected that of unpinned"):
        weights.import_files(tmp_path, "unpinned", unverified=False)


def test_archives_links_and_the_store_itself_can_be_imported(hub, monkeypatch, tmp_path):
    data = archive_bytes(tmp_path, {"pack/model.bin": BIG})
    zipped(monkeypatch, hub, tmp_path, data)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pack.zip").write_bytes(data)
    for path in (tmp_path / "in" / "pack.zip", tmp_path / "in"):
        assert weights.import_files(path, "tiny", unverified=False) == (["model.bin"], [])
    (store() / "lock.json").unlink()
    assert weights.import_files(store(), "tiny", unverified=False) == (["model.bin"], [])
    assert {path.name for path in store().iterdir()} == {"model.bin", "lock.json"}
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "model.bin").symlink_to(store() / "model.bin")
    weights.import_files(tmp_path / "links", "tiny", unverified=False)
    assert not (store() / "model.bin").is_symlink()


def test_paths_that_hold_nothing_of_the_entry(tiny, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run("import", str(tmp_path / "absent"), "--as", "tiny") == 1
    assert run("import", str(tmp_path / "empty"), "--as", "tiny") == 1
    absent, empty = capsys.readouterr().err.splitlines()
    assert "no such file or folder" in absent and "expected model.bin, config.json" in empty


# The store


def test_verify_finds_a_changed_byte_that_where_cannot_see(tiny, capsys):
    weights.pull("tiny")
    assert run("verify") == 0
    path = store() / "model.bin"
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    assert weights.where("tiny") == store()
    assert run("verify") == 1 and "WRONG" in capsys.readouterr().out
    path.write_bytes(b"short")
    with pytest.raises(FileNotFoundError, match=r"model.bin \(5 bytes \(expected 102400\)\)"):
        weights.where("tiny")
    assert weights.pull("tiny") == ["model.bin"] and run("verify", "tiny") == 0


def test_where_answers_by_its_exit_code(tiny, capsys):
    assert run("where", "tiny") == 1 and run("verify", "tiny") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "model.bin (absent)" in said and "weights pull tiny" in said
    assert "weights import PATH --as tiny" in said
    weights.pull("tiny")
    assert run("where", "tiny") == 0 and capsys.readouterr().out == f"{store()}\n"


def test_unknown_names_list_the_known_ones(hub, tiny, capsys):
    for arguments in (["pull", "tiny", "hubert_zz"], ["where", "hubert_zz"], ["verify", "hubert_zz"]):
        assert run(*arguments) == 1
        assert "unknown weights 'hubert_zz' (known: hubert_zh, " in capsys.readouterr().err
    assert not hub.asked
    with pytest.raises(ValueError, match="have no file 'x' .known: model.bin, config.json"):
        weights.file("tiny", "x")


def test_the_list_shows_every_entry_with_its_licence(tiny, capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *ENTRIES]
    for line, entry in zip(lines[1:], ENTRIES.values(), strict=True):
        assert "absent" in line and entry.licence in line and entry.used_by in line


def test_the_store_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", "/a")
    assert weight_store.root() == Path("/a")
    monkeypatch.delenv("JOYVASA_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert weight_store.root() == Path("/b/joyvasa/weights")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weight_store.root() == Path.home() / ".cache/joyvasa/weights"


def test_two_processes_do_not_fetch_into_the_same_folder(tiny):
    with weight_store.alone(tiny), pytest.raises(OSError, match="another process is at work on weights tiny"):
        weights.pull("tiny")
    weights.pull("tiny")


def test_a_damaged_record_is_named(tiny):
    weights.pull("tiny")
    for text in ("", "[]", '{"files": {"model.bin": {"size": 1}}}'):
        (store() / "lock.json").write_text(text)
        with pytest.raises(ValueError, match="lock.json: damaged .*pull or import tiny again"):
            weights.where("tiny")


def test_a_later_pin_of_the_registry_is_noticed(tiny, monkeypatch):
    weights.pull("tiny")
    register(monkeypatch, WeightFile("net/model.bin", len(OTHER), sha(OTHER)), WeightFile("config.json"))
    with pytest.raises(FileNotFoundError, match="model.bin .another version than the registry's."):
        weights.where("tiny")


def test_asking_where_weights_are_loads_no_heavy_package():
    code = "import sys, joyvasa.weights; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'tqdm')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
