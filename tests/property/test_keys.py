"""Keys: what is let in is just what an independent statement of the rule lets in."""

from __future__ import annotations

import string
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from cachekeeper.core.keys import check_device, check_key, check_path, check_tag, namespace_of
from cachekeeper.errors import ForbiddenPath, InvalidInput

ALNUM = string.ascii_letters + string.digits

#: Mostly what is nearly a key, so that the edges of the rule are met often.
NEARLY = st.one_of(
    st.text(),
    st.text("ab:/.._- \n\x00\x1f\x7f\x80\x9f\xa0é\u2028\ud800", max_size=12),
    st.builds(
        "{}:{}".format,
        st.text(ALNUM + "._- é", max_size=66),
        st.text("aé写\n", min_size=0, max_size=20),
    ),
    st.builds(lambda n, c: "ns:" + c * n, st.integers(0, 520), st.sampled_from("xé写🎞")),
)


def short_text(value: str) -> bool:
    """1 to 512 bytes of UTF-8 without control characters: bytes, not characters."""
    raw = value.encode("utf-8", "surrogatepass")
    whole = raw.decode("utf-8", "replace") == value
    controls = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value)
    return whole and not controls and 1 <= len(raw) <= 512


def name(value: str) -> bool:
    """The namespace: ASCII letters, digits and ``._-``, the first one no punctuation."""
    return 1 <= len(value) <= 64 and value[0] in ALNUM and all(c in ALNUM + "._-" for c in value)


def well_formed(key: str) -> bool:
    """The rule, stated without a regular expression."""
    head, *rest = key.split(":")
    return short_text(key) and name(head) and ":".join(rest) != ""


def accepts(
    check: Callable[[object], str], value: str, kind: type[InvalidInput] = InvalidInput
) -> bool:
    """Whether a check lets a value in; if so, it gives it back unchanged."""
    try:
        given_back = check(value)
    except kind:
        return False
    return given_back is value


@given(NEARLY)
@example("a:b")
@example("a:")
@example(":a")
@example("a\u0660:b")  # a digit, but no ASCII digit
@example("ns:" + "é" * 254)
@example("ns:" + "é" * 255)
def test_a_key_is_let_in_if_and_only_if_it_is_well_formed(key: str) -> None:
    assert accepts(check_key, key) == well_formed(key)


@given(NEARLY)
def test_a_tag_is_let_in_if_and_only_if_it_is_short_text(tag: str) -> None:
    assert accepts(check_tag, tag) == short_text(tag)


@given(st.one_of(NEARLY, st.text("ab0_-A", max_size=66)))
def test_a_device_is_let_in_if_and_only_if_it_is_plain_lower_case(device: str) -> None:
    lower = string.ascii_lowercase + string.digits
    plain = 1 <= len(device) <= 64 and device[0] in lower
    expected = plain and all(c in lower + "_-" for c in device)
    assert accepts(check_device, device) == expected


@given(st.one_of(NEARLY, st.lists(st.sampled_from(["a", "b c", ".", "..", "", "é"])).map("/".join)))
def test_a_path_is_let_in_if_and_only_if_it_stays_below(path: str) -> None:
    parts = path.split("/")
    expected = short_text(path) and "\\" not in path and not {"", ".", ".."} & set(parts)
    assert accepts(check_path, path, ForbiddenPath) == expected


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True), NEARLY)
def test_the_namespace_of_a_key_is_what_it_was_made_with(head: str, rest: str) -> None:
    key = f"{head}:{rest}"
    if well_formed(key):
        assert namespace_of(check_key(key)) == head
