from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iexec_worker.config import Loaded, Outbound, RegistryCredentials, load, load_wallet
from iexec_worker.errors import ConfigError
from iexec_worker.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

POOL = "0x" + "aB" * 20
SECRET = "hunter2 & friends"
REGISTRY = "IEXEC_WORKER_DOCKER_REGISTRY"


def loaded(**environ: str) -> Loaded:
    return load({"POOL_ADDRESS": POOL, **environ}, cpu_count=4)


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(**environ)
    return caught.value.problems


def test_every_bad_value_is_told_at_once_with_what_is_accepted() -> None:
    assert problems(
        POOL_ADDRESS="0x12",
        IEXEC_WORKER_PORT="99999",
        IEXEC_WORKER_GPU_ENABLED="maybe",
        IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT="30m",
    ) == (
        "IEXEC_WORKER_PORT=99999: expected a whole number from 1 to 65535",
        "POOL_ADDRESS=0x12: expected the on-chain address of your workerpool, 0x and 40 hex digits",
        "IEXEC_WORKER_GPU_ENABLED=maybe: expected true or false",
        (
            "IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT=30m: "
            "expected an ISO-8601 duration like PT5M, longer than none"
        ),
    )


@pytest.mark.parametrize("address", ["", "0x0"])
def test_a_pool_that_was_not_set_is_refused(address: str) -> None:
    (problem,) = problems(POOL_ADDRESS=address)

    assert problem.startswith("POOL_ADDRESS=0x0")


def test_a_problem_is_one_line_whatever_the_value_holds() -> None:
    (problem,) = problems(IEXEC_WORKER_PORT="1\n2\x1b[31m" + "x" * 1000)

    assert problem.isprintable()
    assert len(problem) < 300


def test_a_setting_is_one_line_whatever_the_value_holds() -> None:
    settings = loaded(IEXEC_WORKER_WALLET_PATH="/a\nb\udcff").settings

    assert all(setting.value_text.isprintable() for setting in settings)


def test_values_of_real_deployments_work() -> None:
    config = loaded(
        IEXEC_DEVELOPER_LOGGER_ENABLED="True",
        IEXEC_WORKER_GPU_ENABLED="False",
        IEXEC_GAS_PRICE_MULTIPLIER="0",
        IEXEC_GAS_PRICE_CAP="0",
        IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS="",
        IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT="",
    ).config

    assert (config.worker.developer_logger, config.worker.gpu_enabled) == (True, False)
    assert (config.chain.gas_price_multiplier, config.chain.gas_price_cap) == (0, 0)


def test_the_scheduler_is_given_in_three_pieces_or_in_one() -> None:
    pieces = {
        "IEXEC_CORE_PROTOCOL": "https",
        "IEXEC_CORE_HOST": "core.example",
        "IEXEC_CORE_PORT": "443",
    }
    whole = loaded(**pieces, IEXEC_CORE_URL="http://other:1/")

    assert loaded(**pieces).config.scheduler.url == "https://core.example:443"
    assert whole.config.scheduler.url == "http://other:1"
    notes = {setting.name: setting.note for setting in whole.settings}
    assert notes["IEXEC_CORE_HOST"] == "not used: IEXEC_CORE_URL is set"


@pytest.mark.parametrize(("available", "used"), [(1, 1), (2, 1), (8, 7)])
def test_one_processor_is_kept_back(available: int, used: int) -> None:
    config = load({"POOL_ADDRESS": POOL}, cpu_count=available).config

    assert config.worker.slots == used


def test_the_override_wins_over_the_processors() -> None:
    config = loaded(IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT="16").config

    assert (config.worker.cpu_count, config.worker.slots) == (16, 16)


@pytest.mark.parametrize("count", ["0", "-1"])
def test_an_override_that_computes_nothing_is_refused(count: str) -> None:
    assert problems(IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT=count)


def test_a_gpu_leaves_one_slot_and_the_cpu_count_as_it_is() -> None:
    config = loaded(
        IEXEC_WORKER_GPU_ENABLED="true", IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT="6"
    ).config

    assert (config.worker.cpu_count, config.worker.slots) == (6, 1)


def test_a_minimum_above_the_maximum_of_pulls_gives_way() -> None:
    docker = loaded(IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT="PT2H").config.docker

    assert (docker.pull_min, docker.pull_max) == (1800, 1800)


def test_several_nodes_are_separated_by_commas() -> None:
    config = loaded(
        IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS="http://a:1/, https://b/k,"
    ).config

    assert config.chain.node_urls == ("http://a:1", "https://b/k")


def test_registries_are_numbered_and_the_first_is_docker_io() -> None:
    config = loaded(
        **{
            f"{REGISTRY}_USERNAME_0": "zero",
            f"{REGISTRY}_PASSWORD_0": "p0",
            f"{REGISTRY}_ADDRESS_1": "only.an.address",
            f"{REGISTRY}_ADDRESS_12": "registry.example:5000",
            f"{REGISTRY}_USERNAME_12": "twelve",
            f"{REGISTRY}_PASSWORD_12": "p12",
        }
    ).config

    assert config.docker.registries == (
        RegistryCredentials("docker.io", "zero", Secret("p0")),
        RegistryCredentials("registry.example:5000", "twelve", Secret("p12")),
    )


def test_a_registry_log_in_without_its_password_is_refused() -> None:
    assert problems(
        **{
            f"{REGISTRY}_USERNAME_0": "zero",
            f"{REGISTRY}_ADDRESS_2": "registry.example",
            f"{REGISTRY}_USERNAME_2": "two",
        }
    ) == (
        (
            f"{REGISTRY}_PASSWORD_0 is not set: expected the password of user zero at docker.io "
            f"(or unset {REGISTRY}_USERNAME_0)"
        ),
        (
            f"{REGISTRY}_PASSWORD_2 is not set: expected the password of user two "
            f"at registry.example (or unset {REGISTRY}_USERNAME_2)"
        ),
    )


def test_a_log_in_that_has_no_effect_is_a_warning() -> None:
    warnings = loaded(
        **{f"{REGISTRY}_USERNAME_1": "one", f"{REGISTRY}_PASSWORD_0": SECRET}
    ).warnings

    assert warnings == (
        f"{REGISTRY}_PASSWORD_0 has no effect: {REGISTRY}_USERNAME_0 is not set",
        f"the log-in of registry 1 has no effect: {REGISTRY}_ADDRESS_1 is not set",
    )


@pytest.mark.parametrize(
    "name",
    [
        "IEXEC_WORKER_WALLET_PASSWORD",
        f"{REGISTRY}_PASSWORD_1",
        "IEXEC_WORKER_SCONTAIN_REGISTRY_PASSWORD",
    ],
)
def test_a_secret_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    login = {f"{REGISTRY}_ADDRESS_1": "r", f"{REGISTRY}_USERNAME_1": "u"}
    here = loaded(**{f"{REGISTRY}_PASSWORD_1": "x", **login, name: SECRET})
    from_file = loaded(
        **{f"{REGISTRY}_PASSWORD_1": "x", **login, name: "", f"{name}_FILE": str(file)}
    )

    assert from_file.config == here.config
    assert from_file.warnings == ()
    sources = {setting.name: setting.source for setting in from_file.settings}
    assert sources[name] == f"file {file}"


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    assert problems(
        IEXEC_WORKER_WALLET_PASSWORD=SECRET, IEXEC_WORKER_WALLET_PASSWORD_FILE=str(tmp_path)
    ) == (
        (
            "IEXEC_WORKER_WALLET_PASSWORD and IEXEC_WORKER_WALLET_PASSWORD_FILE are both set: "
            "unset one of them"
        ),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"x" * 100_000, "it is too large"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_problem(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    (problem,) = problems(IEXEC_WORKER_WALLET_PASSWORD_FILE=str(file))

    assert problem.startswith(f"IEXEC_WORKER_WALLET_PASSWORD_FILE={file}: ")
    assert problem.endswith(f"({reason})")


def test_no_secret_is_shown_anywhere() -> None:
    loud = loaded(
        IEXEC_WORKER_WALLET_PASSWORD=SECRET,
        HTTP_PROXY=f"http://u:{SECRET.replace(' ', '%20')}@proxy:3128",
        IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS="https://node.example/v3/0123456789abcdef0123",
        **{f"{REGISTRY}_USERNAME_0": "u", f"{REGISTRY}_PASSWORD_0": SECRET},
    )
    shown = f"{loud}"

    assert "hunter2" not in shown
    assert "0123456789abcdef" not in shown
    assert {secret.reveal() for secret in loud.config.secrets} >= {SECRET, "0123456789abcdef0123"}


def test_a_malformed_proxy_is_told_without_its_password() -> None:
    (problem,) = problems(HTTPS_PROXY="http://user:pass@word@ bad host")

    assert problem == (
        "HTTPS_PROXY=http://***@ bad host: expected a URL like http://proxy.example:3128"
    )


def test_proxies_are_read_in_both_spellings_the_lower_case_first() -> None:
    outbound = loaded(
        HTTP_PROXY="http://upper:1", http_proxy="http://lower:1", no_proxy="a,.b"
    ).config.outbound

    assert outbound == Outbound("http://lower:1", None, ("a", ".b"))


def test_certificates_that_cannot_be_read_are_told_before_anybody_needs_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty.pem").touch()
    wanted = "expected the path of a file with certificates in PEM form"

    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem", tmp_path):
        assert problems(SSL_CERT_FILE=str(path)) == (f"SSL_CERT_FILE={path}: {wanted}",)


def test_an_unknown_name_is_warned_of_once_with_the_nearest_known() -> None:
    warnings = loaded(
        IEXEC_WORKER_WALET_PATH="x",
        iexec_worker_port="1",
        POOL_ADRESS=POOL,
        POOL_TABLES="3",
        IEXEC_QQ="",
        IEXEC_ZZZZZZZZ="1",
    ).warnings

    assert warnings == (
        (
            "IEXEC_WORKER_WALET_PATH is not a variable of this worker and has no effect; "
            "did you mean IEXEC_WORKER_WALLET_PATH?"
        ),
        "IEXEC_ZZZZZZZZ is not a variable of this worker and has no effect",
        "POOL_ADRESS has no effect; did you mean POOL_ADDRESS?",
        (
            "iexec_worker_port is not a variable of this worker and has no effect; "
            "did you mean IEXEC_WORKER_PORT?"
        ),
    )


def test_every_setting_says_where_it_came_from() -> None:
    settings = {s.name: s for s in loaded(IEXEC_WORKER_NAME="alice").settings}

    assert settings["IEXEC_WORKER_NAME"].source == "environment"
    assert settings["IEXEC_WORKER_PORT"].source == "default"
    count = settings["IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT"]
    assert (count.value_text, count.source) == ("3", "default: 4 processors, one kept back")


def test_the_wallet_can_be_read_before_a_pool_is_known() -> None:
    wallet = load_wallet({"IEXEC_WORKER_WALLET_PATH": "/w.json"})

    assert (str(wallet.path), wallet.password.reveal()) == ("/w.json", "whatever")


def test_lists_of_what_is_allowed_are_in_lower_case(joined: dict[str, str]) -> None:
    images = load(
        joined
        | {
            "IEXEC_WORKER_ALLOWED_REGISTRIES": "Docker.io/Alice/, registry.example:5000",
            "IEXEC_WORKER_ALLOWED_REQUESTERS": "0x" + "aB" * 20,
        },
        cpu_count=2,
    ).config.images

    assert images.registries == ("docker.io/alice", "registry.example:5000")
    assert images.requesters == ("0x" + "ab" * 20,)
    assert images.apps == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REGISTRIES", "https://docker.io"),
        ("REGISTRIES", "docker.io//x"),
        ("APPS", "0x12"),
        ("REQUESTERS", "*"),
    ],
)
def test_a_list_with_a_mistake_allows_nobody(joined: dict[str, str], name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"IEXEC_WORKER_ALLOWED_{name}"):
        load(joined | {f"IEXEC_WORKER_ALLOWED_{name}": text}, cpu_count=2)


def test_a_low_mark_above_the_high_one_is_the_high_one(joined: dict[str, str]) -> None:
    loaded = load(joined | {"IEXEC_WORKER_IMAGE_CACHE_LOW_GB": "99"}, cpu_count=2)

    assert loaded.config.images.cache_low == loaded.config.images.cache_high == 50 * 1024**3
    (note,) = (s.note for s in loaded.settings if s.name == "IEXEC_WORKER_IMAGE_CACHE_LOW_GB")
    assert note == "above the high mark: the high mark is used"
