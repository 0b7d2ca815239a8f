from __future__ import annotations

from pathlib import Path

from iexec_worker.config import load
from iexec_worker.config.variables import ALL, OURS, SEED, registry

# The table of the iExec Worker 8.6.0, as its operators know it.
DOCUMENTED = {
    "IEXEC_WORKER_PORT": "13100",
    "IEXEC_CORE_PROTOCOL": "http",
    "IEXEC_CORE_HOST": "localhost",
    "IEXEC_CORE_PORT": "13000",
    "IEXEC_WORKER_NAME": "worker",
    "POOL_ADDRESS": "0x0",
    "IEXEC_WORKER_BASE_DIR": "/tmp/iexec-worker",
    "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT": "",
    "IEXEC_WORKER_GPU_ENABLED": "false",
    "IEXEC_GAS_PRICE_MULTIPLIER": "1.3",
    "IEXEC_GAS_PRICE_CAP": "22000000000",
    "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS": "",
    "IEXEC_DEVELOPER_LOGGER_ENABLED": "false",
    "IEXEC_WORKER_TEE_COMPUTE_MAX_HEAP_SIZE_GB": "8",
    "IEXEC_WORKER_DOCKER_NETWORK_NAME": "iexec-worker-net",
    "IEXEC_WORKER_DOCKER_REGISTRY_USERNAME_0": "",
    "IEXEC_WORKER_DOCKER_REGISTRY_PASSWORD_0": "",
    "IEXEC_WORKER_DOCKER_REGISTRY_ADDRESS_1": "",
    "IEXEC_WORKER_DOCKER_REGISTRY_USERNAME_1": "",
    "IEXEC_WORKER_DOCKER_REGISTRY_PASSWORD_1": "",
    "IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT": "PT5M",
    "IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT": "PT30M",
    "IEXEC_WORKER_WALLET_PATH": "./src/main/resources/wallet/encrypted-wallet_worker1.json",
    "IEXEC_WORKER_WALLET_PASSWORD": "whatever",
    "IEXEC_SCONE_SHOW_VERSION": "true",
    "IEXEC_SCONE_LOG_LEVEL": "debug",
    "IEXEC_WORKER_SCONTAIN_REGISTRY_NAME": "registry.scontain.com:5050",
    "IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME": "",
    "IEXEC_WORKER_SCONTAIN_REGISTRY_PASSWORD": "",
    "IEXEC_LAS_PORT": "18766",
    "IEXEC_WORKER_SGX_DRIVER_MODE": "NONE",
    "IEXEC_WORKER_METRICS_WINDOW_SIZE": "1,000",
}


def test_the_documented_variables_have_their_names_and_defaults() -> None:
    variables = (*SEED, *registry(0), *registry(1))
    ours = {variable.name: variable.default for variable in variables}

    assert len(DOCUMENTED) == 32
    assert ours == DOCUMENTED | {"IEXEC_CORE_URL": ""}


def test_names_and_fields_are_unique() -> None:
    assert len({variable.name for variable in ALL}) == len(ALL)
    assert len({variable.field for variable in ALL}) == len(ALL)


def test_our_variables_begin_with_the_prefix_and_have_a_line_of_documentation() -> None:
    assert all(variable.name.startswith("IEXEC_WORKER_") for variable in OURS)
    assert all(variable.doc and "\n" not in variable.doc for variable in ALL)


def test_the_defaults_make_a_configuration(joined: dict[str, str]) -> None:
    config = load(joined, cpu_count=8).config

    assert (config.worker.port, config.worker.bind) == (13100, "0.0.0.0")
    assert config.worker.tasks_dir == Path("/tmp/iexec-worker/worker")
    assert (config.worker.cpu_count, config.worker.slots) == (7, 7)
    assert config.scheduler.url == "http://localhost:13000"
    assert config.scheduler.pool_address == joined["POOL_ADDRESS"].lower()
    assert config.chain.node_urls == ()
    assert (config.chain.gas_price_multiplier, config.chain.gas_price_cap) == (1.3, 22 * 10**9)
    assert config.wallet.password.reveal() == "whatever"
    assert (config.docker.host, config.docker.registries) == (None, ())
    docker = config.docker
    assert (docker.pull_min, docker.pull_max, docker.pull_stall) == (300, 1800, 120)
    assert len(config.inputs.ipfs_gateways) == 3
    assert (config.inputs.allow_private, config.inputs.max_bytes) == ((), 10 * 1024**3)
    assert (config.tee.max_heap_gb, config.tee.las_port) == (8, 18766)
    assert config.telemetry.metrics_window == 1000
    assert (config.supervision.restarts, config.supervision.period) == (3, 60)


def test_empty_is_unset(joined: dict[str, str]) -> None:
    unset = load(joined, cpu_count=2).config

    for name in (v.name for v in ALL if v.name != "POOL_ADDRESS"):
        empty = "" if name.endswith("PASSWORD") else " "
        assert load(joined | {name: empty}, cpu_count=2).config == unset, name
