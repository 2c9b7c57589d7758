"""Keys, tags, namespaces, device ids and paths: what is let in and what is named when it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cachekeeper.core.keys import (
    check_device,
    check_key,
    check_namespace,
    check_path,
    check_tag,
    namespace_of,
    parent_of,
)
from cachekeeper.errors import ForbiddenPath, InvalidInput

LONE_SURROGATE = "file:\udcff"  # as os.fsdecode makes of a name that is no UTF-8


@pytest.mark.parametrize(
    "key",
    [
        "a:b",
        "file:holidays/2024/IMG 0001.jpg",
        "file:überall/写真.jpg",
        "v1.2_thumb-small:x",
        "a:b:c",  # only the first colon parts
        "a: ",
        "a::",
        "a:" + "x" * 510,
        "a:" + "é" * 255,  # 512 bytes
        "N" * 64 + ":x",
        "a:\u2028",  # a line separator is no control character
    ],
)
def test_a_well_formed_key_comes_back_as_it_was(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        ":",
        "a:",
        ":b",
        "a b:c",
        "é:c",
        "-a:b",
        ".a:b",
        "N" * 65 + ":x",
        "a:" + "x" * 511,
        "a:" + "é" * 255 + "x",  # 513 bytes in 257 characters
        "a:b\n",
        "a:\x00",
        "a:\x7f",
        "a:\x85",  # NEXT LINE: a control character beyond ASCII
        "a\n:b",
        LONE_SURROGATE,
        b"a:b",
        None,
        7,
        ["a:b"],
    ],
)
def test_a_malformed_key_is_refused_by_name(key: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_key(key, "keys[3]")
    assert refused.value.field == "keys[3]"
    assert refused.value.value == key
    assert "namespace:rest" in refused.value.allowed
    assert "512" in refused.value.allowed


@pytest.mark.parametrize("tag", ["album", "a b", "user:7", "日本", "x" * 512, "n:file", "*"])
def test_a_tag_is_any_short_text(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", "x" * 513, "a\nb", "a\x00", "\ud800", b"a", None, 0])
def test_a_malformed_tag_is_refused_by_name(tag: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_tag(tag)
    assert (refused.value.field, refused.value.value) == ("tag", tag)


@pytest.mark.parametrize("name", ["file", "A", "0", "a.b_c-d", "x" * 64])
def test_a_namespace_is_what_may_stand_before_a_colon(name: str) -> None:
    assert check_namespace(name) == name
    assert namespace_of(check_key(f"{name}:rest:of it")) == name


@pytest.mark.parametrize("name", ["", "a:", "a b", "é", "_a", "x" * 65, "a\n", None, b"file"])
def test_a_malformed_namespace_is_refused_by_name(name: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_namespace(name)
    assert refused.value.field == "namespace"


@pytest.mark.parametrize("device", ["a", "0", "anna-phone", "tv_2", "x" * 64])
def test_a_device_id_is_lower_case_letters_digits_and_dashes(device: str) -> None:
    assert check_device(device) == device


@pytest.mark.parametrize(
    "device", ["", "A", "-a", "_a", "a b", "a/b", "..", "x" * 65, "ä", "a\n", None, 5, b"a"]
)
def test_a_malformed_device_id_is_refused_with_its_pattern(device: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_device(device)
    assert refused.value.field == "device"
    assert "[a-z0-9][a-z0-9_-]{0,63}" in refused.value.allowed


@pytest.mark.parametrize("path", ["a", "a/b c/d.jpg", ".hidden", "a/..b", "...", "~/a", "C:a"])
def test_a_relative_path_comes_back_as_it_was(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../a",
        "a/../../b",
        "a/..",
        "/etc/passwd",
        "//a",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "..\\a",
        "a\\b",
        "a\x00b",
        "a\nb",
        "x" * 513,
        "\udcff",
        b"a",
        None,
    ],
)
def test_a_path_that_climbs_or_is_ambiguous_is_forbidden(path: object) -> None:
    with pytest.raises(ForbiddenPath) as refused:
        check_path(path)
    assert refused.value.field == "path"


def test_a_forbidden_path_is_an_invalid_input_too() -> None:
    assert issubclass(ForbiddenPath, InvalidInput)
    assert issubclass(InvalidInput, ValueError)


@pytest.mark.parametrize(("path", "parent"), [("a", "."), ("a/b", "a"), ("a/b/c.jpg", "a/b")])
def test_the_parent_of_a_path_is_its_folder(path: str, parent: str) -> None:
    assert parent_of(path) == parent


@pytest.mark.parametrize("check", [check_key, check_tag, check_namespace, check_device, check_path])
def test_what_is_refused_is_shown_in_short(check: Callable[[object], str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        check("\x00" * 100_000)
    assert len(str(refused.value)) < 400
