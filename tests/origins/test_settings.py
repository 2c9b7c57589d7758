"""Origins by settings: named, checked at start, and without a secret anywhere."""

from __future__ import annotations

import builtins
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from cachekeeper.errors import ConfigurationError, InvalidInput, OriginUnavailable
from cachekeeper.origin.credentials import credentials_of
from cachekeeper.origin.opening import opened
from cachekeeper.origin_settings import OriginSettings
from cachekeeper.settings import load
from tests.support import unused_port

SECRET = "hunter2"  # what must not show


def test_origins_come_from_the_file_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(SECRET)
    config = tmp_path / "cachekeeper.toml"
    config.write_text(f"""
[origins.photos]
url = "webdavs://cloud.example.org/remote.php/dav/files/anna/Photos"
user = "anna"
password_file = "{tmp_path}/password"
bytes_per_s = "2MiB"
[origins.music]
url = "/srv/music"
""")
    monkeypatch.setenv("CACHEKEEPER_CONFIG", str(config))
    settings = load()
    assert set(settings.origins) == {"photos", "music"}
    assert settings.origins["photos"].bytes_per_s == 2 * 1024 * 1024
    assert settings.origins["photos"].poll_s == 30
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": f"https://anna:{SECRET}@host/a"}, "url.*password_file"),
        ({"url": f"https://anna:{SECRET}#/@host/a"}, "url.*password_file"),
        ({"url": f"s3://anna:{SECRET}@host/a"}, "url.*password_file"),
        ({"url": f"https://host/a?token={SECRET}"}, r"url.*'\?'.*token_file"),
        ({"url": f"https://host/a#{SECRET}"}, "url.*#"),
        ({"url": "https://host:99999/"}, "url.*port"),
        ({"url": "file://srv/music"}, "file:///folder"),
        ({"url": SECRET}, "url.*a folder or a URL"),
        ({"url": f"{SECRET}/a"}, "url.*a folder or a URL"),
        ({"url": "https://host/", "password": SECRET}, "password: unknown.*did you mean password_"),
        ({"url": "https://host/", "token": SECRET}, "token: unknown.*did you mean token_"),
        ({"url": "s3://bucket", "options": {"secret": SECRET}}, "options.*secret: no place"),
        ({"url": "s3://bucket", "options": {"key": SECRET}}, "options.*key: no place"),
        ({"url": "https://host/", "options": {"anon": True}}, "options.*fsspec"),
        ({"url": "https://host/", "user": "anna"}, "password_file"),
        ({"url": "https://host/", "password_env": "X"}, "user"),
        ({"url": "https://host/", "user": "a", "password_env": "X", "token_env": "Y"}, "at most"),
        ({"url": "/srv", "token_env": "X"}, "no credentials"),
        ({"url": "https://host/", "read_s": 0}, "origins.it.read_s"),
        ({"url": "https://host/", "concurrency": 0}, "origins.it.concurrency"),
        ({"url": "https://host/", "bytes_per_s": 1}, "origins.it.bytes_per_s"),
        ({"url": "https://host/", "pol_s": 5}, "origins.it.pol_s: unknown.*poll_s"),
        ({}, "origins.it.url"),
    ],
)
def test_a_wrong_origin_is_refused_by_name_and_no_secret_is_shown(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        load(origins={"it": fields})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", ["", "My Photos", "a/b", "..", "A"])
def test_a_name_can_be_the_first_part_of_a_path(name: str) -> None:
    with pytest.raises(ConfigurationError, match="origins"):
        load(origins={name: {"url": "/srv"}})


def test_one_folder_at_the_top_or_several_below_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="origin and origins: one of them"):
        load(origin=tmp_path, origins={"it": {"url": str(tmp_path)}})
    assert opened(load()) is None


def test_a_secret_is_read_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("OUR_SECRET", SECRET)
    given: list[dict[str, Any]] = [
        {"user": "anna", "password_file": file},
        {"user": "anna", "password_env": "OUR_SECRET"},
        {"token_file": file},
        {"token_env": "OUR_SECRET"},
    ]
    for fields in given:
        settings = load(origins={"it": {"url": "http://127.0.0.1:1/", **fields}})
        found = credentials_of("it", settings.origins["it"])
        assert found.secret == SECRET
        assert found.header["Authorization"].startswith("Basic " if "user" in fields else "Bearer ")
        assert SECRET not in repr(found)
        assert SECRET not in repr(vars(opened(settings)))
        assert SECRET.encode() not in pickle.dumps(settings)


@pytest.mark.parametrize("body", ["", "\n", "two\nlines", "nul\x00"])
def test_what_can_be_no_secret_is_refused_unseen(tmp_path: Path, body: str) -> None:
    file = tmp_path / "secret"
    file.write_text(body)
    settings = OriginSettings(url="http://host/", token_file=file)
    with pytest.raises(ConfigurationError, match=r"origins\.it") as refused:
        credentials_of("it", settings)
    assert "lines" not in str(refused.value)


def test_a_secret_that_is_not_there_is_refused_by_the_name_of_its_place(tmp_path: Path) -> None:
    for fields, said in (
        ({"token_file": tmp_path / "nowhere"}, "origins.it.token_file: .*No such file"),
        ({"token_env": "NOBODY_SET_THIS"}, "origins.it.token_env: .*NOBODY_SET_THIS is not set"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            opened(load(origins={"it": {"url": "http://host/", **fields}}))


@pytest.mark.parametrize(
    "url", ["http:///a", "http://host/a/../b", "http://host//a", "http://host/%2e%2e/"]
)
def test_a_root_is_a_plain_place(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"origins\.it\.url"):
        opened(load(origins={"it": {"url": url}}))


@pytest.mark.parametrize(
    ("url", "extra", "package"),
    [
        ("http://host/", "http", "urllib3"),
        ("webdavs://host/", "webdav", "urllib3"),
        ("s3://bucket/", "fsspec", "fsspec"),
    ],
)
def test_a_missing_extra_is_named(
    url: str, extra: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("cachekeeper.origin.")]:
        monkeypatch.delitem(sys.modules, module)
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=rf"cachekeeper\[{extra}\]"):
        opened(load(origins={"it": {"url": url}}))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/", "s3"),  # its package is not among ours
        ("nosuch://place", "nosuch"),
        ("local:///etc", "no place of its own"),
    ],
)
def test_a_file_system_that_can_not_be_opened_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        opened(load(origins={"it": {"url": url}}))


def test_a_server_that_is_down_at_the_start_is_no_wrong_setting() -> None:
    origin = opened(load(origins={"it": {"url": f"ftp://127.0.0.1:{unused_port()}/a"}}))
    assert origin is not None
    with pytest.raises(OriginUnavailable):
        origin.stat("it/b")


def test_any_file_system_of_fsspec_will_do() -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe("/here/sub/a", b"123")
    origin = opened(load(origins={"it": {"url": "memory://here"}}))
    assert origin is not None
    assert origin.read("it/sub/a") == b"123"
    before = origin.stat("it/sub/a")
    files.pipe("/here/sub/a", b"321")
    assert origin.stat("it/sub/a") != before
    assert [each.path for each in origin.list("it")] == ["it/sub"]
