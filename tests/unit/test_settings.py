"""Settings: where each comes from, its bounds, and names that no setting has."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachekeeper.errors import ConfigurationError
from cachekeeper.settings import Settings, load, nearest

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the environment names; a test writes it."""
    path = tmp_path / "cachekeeper.toml"
    monkeypatch.setenv("CACHEKEEPER_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("scheduled_flush_s", 300),
        ("scheduled_batch", 100),
        ("background_flush_s", 60),
        ("background_batch", 1000),
        ("record_s", 3600),
        ("depth_limit", 5),
        ("ttl_default_s", 3600),
        ("ttl_min_s", 60),
        ("ttl_max_s", 86400),
        ("device_quota", GIB),
        ("graph_refresh_s", 300),
        ("device_policy", "gdga"),
        ("disk_min_free", GIB),
    ],
)
def test_the_defaults_are_those_of_the_specification(name: str, default: object) -> None:
    assert getattr(load(), name) == default


@pytest.mark.parametrize(
    ("quota", "headroom"), [(GIB, 100 * MIB), (500 * MIB, 50 * MIB), (4 * GIB, 100 * MIB), (9, 0)]
)
def test_the_headroom_is_a_tenth_of_the_quota_and_at_most_100_mib(
    quota: int, headroom: int
) -> None:
    assert load(device_quota=quota).limits_of("phone") == (quota, headroom, "gdga")


def test_a_device_may_have_limits_of_its_own(toml: Path) -> None:
    toml.write_text('[devices.tv]\nquota = "4GiB"\n[devices.watch]\npolicy = "lru"\n')
    settings = load(device_headroom=MIB)
    assert settings.limits_of("phone") == (GIB, MIB, "gdga")
    assert settings.limits_of("tv") == (4 * GIB, MIB, "gdga")
    assert settings.limits_of("watch") == (GIB, MIB, "lru")


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ('[devices."My TV"]\nquota = 1000\n', "devices.My TV"),
        ("[devices.tv]\nquota = 0\n", "devices.tv.quota"),
        ("[devices.tv]\nqouta = 9\n", "devices.tv.qouta"),
        ('[devices.tv]\npolicy = "lifo"\n', "devices.tv.policy.*lru"),
        ("[devices.tv]\nheadroom = 7\nquota = 7\n", r"smaller than device_quota.*devices\.tv"),
    ],
)
def test_wrong_limits_of_a_device_are_refused_by_name(devices: str, said: str, toml: Path) -> None:
    toml.write_text(devices)
    with pytest.raises(ConfigurationError, match=said):
        load()


def test_an_argument_wins_over_the_environment_and_that_over_the_file(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text("depth_limit = 2\nscheduled_batch = 2\nbackground_batch = 2\n")
    monkeypatch.setenv("CACHEKEEPER_DEPTH_LIMIT", "3")
    monkeypatch.setenv("CACHEKEEPER_SCHEDULED_BATCH", "3")
    settings = load(depth_limit=4)
    assert settings.depth_limit == 4
    assert settings.scheduled_batch == 3
    assert settings.background_batch == 2
    assert settings.ttl_min_s == 60


def test_sizes_are_given_in_bytes_or_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEKEEPER_MEMORY_BYTES", "8MiB")
    assert load().memory_bytes == 8 * MIB
    assert load(memory_bytes=17).memory_bytes == 17


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_port", 0),
        ("server_port", 65536),
        ("flower_port", "http"),
        ("scheduled_flush_s", 0),
        ("background_flush_s", -1),
        ("scheduled_batch", 0),
        ("scheduled_batch", 1001),
        ("background_batch", 1001),
        ("batch_deadline_s", 0),
        ("depth_limit", 0),
        ("lease_s", 0),
        ("lease_drift_s", -0.1),
        ("record_s", 0),
        ("ttl_min_s", 0),
        ("memory_bytes", -1),
        ("memory_bytes", "64 apples"),
        ("device_quota", 0),
        ("device_headroom", -1),
        ("prefetch_horizon_s", 0),
        ("prefetch_horizon_s", float("inf")),
        ("model_items", 99),
        ("model_forget_s", 3600),
        ("prefetch", "maybe"),
        ("prefetch_threshold", 0),
        ("prefetch_threshold", 1.1),
        ("prefetch_at_once", 17),
        ("prefetch_per_device", 0),
        ("prefetch_per_origin", 0),
        ("deployment", ""),
        ("deployment", "Home"),
        ("deployment", "a:b"),
        ("deployment", "a\n"),
        ("deployment", "{a}"),
        ("deployment", "x" * 65),
        ("lease_s", float("nan")),
        ("lease_s", float("inf")),
        ("scheduled_flush_s", float("inf")),
        ("batch_deadline_s", "infinity"),
    ],
)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_value_out_of_bounds_is_refused_by_name(
    name: str, value: object, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {name: value}
    if by == "environment":
        monkeypatch.setenv(f"CACHEKEEPER_{name.upper()}", str(value))
        given = {}
    with pytest.raises(ConfigurationError, match=name):
        load(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ttl_min_s": 7200}, "ttl_default_s"),
        ({"ttl_max_s": 1800}, "ttl_default_s"),
        ({"ttl_min_s": 10, "ttl_default_s": 9}, "ttl_default_s"),
        ({"device_quota": 100, "device_headroom": 100}, "device_headroom"),
        ({"device_quota": 100, "device_headroom": 101}, "device_headroom"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(**given)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CACHEKEEPER_CACHE_URI", "CACHEKEEPER_CACHE_URL"),
        ("CACHEKEEPER_DEVICE_QUTOA", "CACHEKEEPER_DEVICE_QUOTA"),
        ("CACHEKEEPER_CONFG", "CACHEKEEPER_CONFIG"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigurationError, match=f"{variable}: .*did you mean {meant}"):
        load()


def test_a_misspelt_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"leese_s: unknown.*did you mean lease_s\?"):
        load(leese_s=1)


def test_a_misspelt_name_in_the_file_is_refused_with_the_nearest(toml: Path) -> None:
    toml.write_text("device_qouta = 1\n")
    with pytest.raises(ConfigurationError, match=r"device_qouta.*did you mean device_quota\?"):
        load()


def test_a_name_like_no_other_is_refused_without_a_guess() -> None:
    assert nearest("zzzzzz", {"lease_s", "state"}) == ""
    with pytest.raises(ConfigurationError, match=r"unknown setting$"):
        load(zzzzzz=1)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"depth_limit.*;.*lease_s"):
        load(depth_limit=0, lease_s=-1)


def test_a_file_that_is_named_and_missing_is_refused(toml: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"CACHEKEEPER_CONFIG: {toml}"):
        load()


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEKEEPER_CONFIG", str(tmp_path))
    with pytest.raises(ConfigurationError, match="CACHEKEEPER_CONFIG"):
        load()


@pytest.mark.parametrize("content", [b"depth_limit = = 3\n", b"[unclosed\n", b'a = "\xff"\n'])
def test_a_file_that_is_no_toml_is_refused_by_its_name(toml: Path, content: bytes) -> None:
    toml.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"CACHEKEEPER_CONFIG: {toml}"):
        load()


def test_a_wrong_type_in_the_file_is_refused_by_name(toml: Path) -> None:
    toml.write_text('lease_s = "soon"\n')
    with pytest.raises(ConfigurationError, match="lease_s"):
        load()


def test_settings_do_not_change_under_those_who_hold_them() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().depth_limit = 9  # type: ignore[misc]  # just what is not allowed


def test_every_setting_has_a_default() -> None:
    assert not [name for name, field in Settings.model_fields.items() if field.is_required()]


class TestSecretFiles:
    """URLs may hold passwords: ``CACHEKEEPER_X_FILE`` names a file that holds the URL."""

    URL = "redis://:secret@cache:6379/0"

    @pytest.fixture
    def secret(self, tmp_path: Path) -> Path:
        path = tmp_path / "secret"
        path.write_text(f"{self.URL}\n")
        return path

    @pytest.mark.parametrize("name", ["broker_url", "cache_url"])
    def test_a_url_comes_from_the_file_that_is_named(
        self, secret: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(f"CACHEKEEPER_{name.upper()}_FILE", str(secret))
        settings = load()
        assert getattr(settings, name) == self.URL
        assert {settings.broker_url, settings.cache_url} == {self.URL, None}

    def test_the_environment_wins_over_it_and_it_over_the_configuration(
        self, secret: Path, toml: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toml.write_text('cache_url = "redis://toml/0"\nbroker_url = "redis://toml/0"\n')
        monkeypatch.setenv("CACHEKEEPER_CACHE_URL_FILE", str(secret))
        assert (load().cache_url, load().broker_url) == (self.URL, "redis://toml/0")
        monkeypatch.setenv("CACHEKEEPER_CACHE_URL", "redis://environment/0")
        assert load().cache_url == "redis://environment/0"

    def test_a_file_that_is_not_there_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CACHEKEEPER_CACHE_URL_FILE", str(tmp_path / "nowhere"))
        with pytest.raises(ConfigurationError, match=r"CACHE_URL_FILE: .*nowhere: No such file"):
            load()

    def test_what_it_holds_is_checked(self, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        secret.write_text("http://cache:6379")
        monkeypatch.setenv("CACHEKEEPER_CACHE_URL_FILE", str(secret))
        with pytest.raises(ConfigurationError, match=r"cache_url: .*redis://"):
            load()

    def test_a_password_in_it_is_not_told(
        self, secret: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret.write_text("http://:secret@cache:6379")
        monkeypatch.setenv("CACHEKEEPER_CACHE_URL_FILE", str(secret))
        with pytest.raises(ConfigurationError) as caught:
            load()
        assert "secret" not in str(caught.value)

    def test_one_that_is_no_text_is_named(
        self, secret: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret.write_bytes(b"\xff\xfe")
        monkeypatch.setenv("CACHEKEEPER_CACHE_URL_FILE", str(secret))
        with pytest.raises(ConfigurationError, match="CACHE_URL_FILE"):
            load()

    def test_no_other_setting_comes_from_a_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CACHEKEEPER_ORIGIN_FILE", "/etc/hostname")
        with pytest.raises(ConfigurationError, match="CACHEKEEPER_ORIGIN_FILE: unknown setting"):
            load()
