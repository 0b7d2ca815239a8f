"""
Every variable, as data: name, where its value goes, how it is read, default, what it is for.

Names, types and defaults of the first group are the iExec Worker's (8.6.0, and `IEXEC_CORE_URL` of
9.x); the second group is ours.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

import iexec_worker.config.parsers as p


@frozen
class Variable:
    """One variable; *field* is `section.attribute`, *default* a text like the operator's ("")."""

    name: str
    field: str
    parser: p.Parser
    default: str
    doc: str
    #: Other spellings, the preferred one first.
    aliases: tuple[str, ...] = ()

    @property
    def secret(self) -> bool:
        """True iff the value is never shown and may be in a file named by `<name>_FILE`."""
        return self.parser is p.SECRET


V = Variable

#: Where the program is on machines that the pool's operator has set up for TDX.
TDX_AGENT: Final = "/usr/local/bin/secret_provider_agent"

SEED: Final = (
    V("IEXEC_WORKER_PORT", "worker.port", p.PORT, "13100", "port of the worker's HTTP server"),
    V(
        "IEXEC_CORE_PROTOCOL",
        "scheduler.protocol",
        p.choice("http", "https"),
        "http",
        "protocol of the scheduler",
    ),
    V("IEXEC_CORE_HOST", "scheduler.host", p.HOST, "localhost", "host of the scheduler"),
    V("IEXEC_CORE_PORT", "scheduler.port", p.PORT, "13000", "port of the scheduler"),
    V("IEXEC_CORE_URL", "scheduler.url", p.SERVICE, "", "the three above in one; wins over them"),
    V("IEXEC_WORKER_NAME", "worker.name", p.NAME, "worker", "public name of the worker"),
    V("POOL_ADDRESS", "scheduler.pool_address", p.ADDRESS, "0x0", "the workerpool to join"),
    V(
        "IEXEC_WORKER_BASE_DIR",
        "worker.base_dir",
        p.FOLDER,
        "/tmp/iexec-worker",  # noqa: S108  # the original's default; operators mount it by this path
        "folder of the tasks' files, the same path on the host and in the worker's container",
    ),
    V(
        "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT",
        "worker.cpu_count",
        p.whole(),
        "",
        "tasks computed at a time; default: all processors but one",
    ),
    V(
        "IEXEC_WORKER_GPU_ENABLED",
        "worker.gpu_enabled",
        p.BOOLEAN,
        "false",
        "take tasks that ask for a GPU, one at a time",
    ),
    V(
        "IEXEC_GAS_PRICE_MULTIPLIER",
        "chain.gas_price_multiplier",
        p.DECIMAL,
        "1.3",
        "gas price = the network's × this",
    ),
    V(
        "IEXEC_GAS_PRICE_CAP",
        "chain.gas_price_cap",
        p.whole(0),
        "22000000000",
        "highest gas price, wei; 0 on chains without gas",
    ),
    V(
        "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS",
        "chain.node_urls",
        p.NODES,
        "",
        "node(s) used instead of the one the pool names",
    ),
    V(
        "IEXEC_DEVELOPER_LOGGER_ENABLED",
        "worker.developer_logger",
        p.BOOLEAN,
        "false",
        "print files and output of tasks",
    ),
    V(
        "IEXEC_WORKER_TEE_COMPUTE_MAX_HEAP_SIZE_GB",
        "tee.max_heap_gb",
        p.whole(),
        "8",
        "largest heap of an enclave, GB",
    ),
    V(
        "IEXEC_WORKER_DOCKER_NETWORK_NAME",
        "docker.network",
        p.NAME,
        "iexec-worker-net",
        "engine network of the worker and its TEE containers",
    ),
    V(
        "IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT",
        "docker.pull_min",
        p.DURATION,
        "PT5M",
        "least time an image may take to be pulled",
    ),
    V(
        "IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT",
        "docker.pull_max",
        p.SPAN,
        "PT30M",
        "most time an image may take to be pulled",
    ),
    V(
        "IEXEC_WORKER_WALLET_PATH",
        "wallet.path",
        p.FILE,
        "./src/main/resources/wallet/encrypted-wallet_worker1.json",
        "V3 keystore of the worker",
    ),
    V(
        "IEXEC_WORKER_WALLET_PASSWORD",
        "wallet.password",
        p.SECRET,
        "whatever",
        "password of the keystore",
    ),
    V(
        "IEXEC_SCONE_SHOW_VERSION",
        "tee.scone_show_version",
        p.BOOLEAN,
        "true",
        "Scone shows its version",
    ),
    V("IEXEC_SCONE_LOG_LEVEL", "tee.scone_log_level", p.SCONE_LEVEL, "debug", "Scone's log level"),
    V(
        "IEXEC_WORKER_SCONTAIN_REGISTRY_NAME",
        "tee.scontain_registry",
        p.TEXT,
        "registry.scontain.com:5050",
        "registry of the LAS image",
    ),
    V(
        "IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME",
        "tee.scontain_username",
        p.TEXT,
        "",
        "user of that registry",
    ),
    V(
        "IEXEC_WORKER_SCONTAIN_REGISTRY_PASSWORD",
        "tee.scontain_password",
        p.SECRET,
        "",
        "password of that registry",
    ),
    V("IEXEC_LAS_PORT", "tee.las_port", p.PORT, "18766", "port of the LAS"),
    V(
        "IEXEC_WORKER_SGX_DRIVER_MODE",
        "worker.tee_sgx_mode",
        p.choice("NONE", "LEGACY", "NATIVE"),
        "NONE",
        "SGX driver of this machine",
    ),
    V(
        "IEXEC_WORKER_METRICS_WINDOW_SIZE",
        "telemetry.metrics_window",
        p.whole(),
        "1,000",
        "durations of that many last runs make the metrics",
    ),
)

OURS: Final = (
    V(
        "IEXEC_WORKER_BIND_ADDRESS",
        "worker.bind",
        p.IP,
        "0.0.0.0",  # noqa: S104  # health checks and containers reach it from other addresses
        "address the worker's HTTP server listens on",
    ),
    V(
        "IEXEC_WORKER_DOCKER_IMAGE_STALL_TIMEOUT",
        "docker.pull_stall",
        p.SPAN,
        "PT2M",
        "a pull without a byte for this long has failed",
    ),
    V(
        "IEXEC_WORKER_MAX_IMAGE_SIZE_GB",
        "images.max_bytes",
        p.whole(),
        "20",
        "largest image that is pulled, GB (1024³ bytes) as the registry has it; unpacked 3 × that",
    ),
    V(
        "IEXEC_WORKER_IMAGE_CACHE_HIGH_GB",
        "images.cache_high",
        p.whole(0),
        "50",
        "GB of apps' images above which those that were not used for longest are removed",
    ),
    V(
        "IEXEC_WORKER_IMAGE_CACHE_LOW_GB",
        "images.cache_low",
        p.whole(0),
        "30",
        "GB of apps' images down to which they are removed then",
    ),
    V(
        "IEXEC_WORKER_ALLOWED_REGISTRIES",
        "images.registries",
        p.REGISTRIES,
        "",
        "registries whose images are run, such as docker.io/iexechub; default: all",
    ),
    V(
        "IEXEC_WORKER_ALLOWED_APPS",
        "images.apps",
        p.ADDRESSES,
        "",
        "on-chain addresses of the apps that are run; default: all",
    ),
    V(
        "IEXEC_WORKER_ALLOWED_REQUESTERS",
        "images.requesters",
        p.ADDRESSES,
        "",
        "on-chain addresses of the requesters whose tasks are run; default: all",
    ),
    V(
        "IEXEC_WORKER_IPFS_GATEWAYS",
        "inputs.ipfs_gateways",
        p.GATEWAYS,
        "https://ipfs-gateway.v8-bellecour.iex.ec,https://gateway.ipfs.io,https://gateway.pinata.cloud",
        "gateways a dataset on IPFS is asked from, in this order",
    ),
    V(
        "IEXEC_WORKER_ALLOWED_PRIVATE_HOSTS",
        "inputs.allow_private",
        p.EXACT_HOSTS,
        "",
        "private hosts and networks that URLs of requesters may lead to",
    ),
    V(
        "IEXEC_WORKER_MAX_INPUT_SIZE_GB",
        "inputs.max_bytes",
        p.whole(),
        "10",
        "dataset and input files of one task together, GB (1024³ bytes)",
    ),
    V(
        "IEXEC_WORKER_MAX_RESULT_SIZE_GB",
        "results.max_bytes",
        p.whole(),
        "10",
        "files of one result together, GB (1024³ bytes); holes of sparse files count",
    ),
    V(
        "IEXEC_WORKER_MAX_RESULT_FILES",
        "results.max_entries",
        p.whole(),
        "65,535",
        "files and folders of one result",
    ),
    V(
        "IEXEC_WORKER_MAX_RESULT_DEPTH",
        "results.max_depth",
        p.whole(1, 1024),
        "256",
        "folders within folders of a result",
    ),
    V(
        "IEXEC_WORKER_MIN_FREE_DISK_GB",
        "worker.min_free_disk",
        p.whole(0),
        "1",
        "free room, GB (1024³ bytes) on the disk of the tasks, below which no work is taken",
    ),
    V(
        "IEXEC_WORKER_TASK_NETWORK",
        "sandbox.network",
        p.choice("public", "full", "none"),
        "public",
        "what apps reach; public: the internet, but neither this host nor private networks",
    ),
    V(
        "IEXEC_WORKER_TASK_MEMORY_PERCENT",
        "sandbox.memory_percent",
        p.whole(0, 100),
        "80",
        "the machine's memory that all slots share, in equal parts; 0: no limit",
    ),
    V(
        "IEXEC_WORKER_TASK_SWAP_PERCENT",
        "sandbox.swap_percent",
        p.whole(0, 100),
        "0",
        "swap of a task, percent of its memory",
    ),
    V(
        "IEXEC_WORKER_TASK_CPUS",
        "sandbox.cpus",
        p.DECIMAL,
        "",
        "processors of a task; default: an equal part of all but one; 0: no limit",
    ),
    V(
        "IEXEC_WORKER_TASK_PIDS",
        "sandbox.pids",
        p.whole(),
        "4,096",
        "processes and threads of a task",
    ),
    V(
        "IEXEC_WORKER_TASK_OPEN_FILES",
        "sandbox.open_files",
        p.whole(64, 1_048_576),
        "65,536",
        "open files of each process of a task",
    ),
    V(
        "IEXEC_WORKER_TASK_OOM_SCORE_ADJ",
        "sandbox.oom_score_adj",
        p.whole(0, 1000),
        "500",
        "how much sooner than others a task is killed when the machine's memory runs out",
    ),
    V(
        "IEXEC_WORKER_TASK_MAX_LOG_SIZE_MB",
        "sandbox.log_bytes",
        p.whole(2),
        "1,024",
        "room, MB (1024² bytes), for what a task prints; of more, the end is kept",
    ),
    V(
        "IEXEC_WORKER_TASK_MAX_DISK_GB",
        "sandbox.disk_bytes",
        p.whole(),
        "10",
        "room, GB (1024³ bytes), for all a task writes; it is stopped at more",
    ),
    V(
        "IEXEC_WORKER_TASK_CAPABILITIES",
        "sandbox.capabilities",
        p.CAPABILITIES,
        "CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,NET_BIND_SERVICE,SETGID,SETUID",
        "capabilities of a task's root user; all others are dropped",
    ),
    V(
        "IEXEC_WORKER_TASK_RUNTIME",
        "sandbox.runtime",
        p.NAME,
        "",
        "runtime of tasks, one that the engine has, such as runsc; default: the engine's own",
    ),
    V(
        "IEXEC_WORKER_TASK_READ_ONLY_ROOT",
        "sandbox.read_only_root",
        p.BOOLEAN,
        "false",
        "tasks write to /iexec_out, and to /tmp in their memory, only",
    ),
    V(
        "IEXEC_WORKER_HOST_ROOT",
        "tee.host_root",
        p.FOLDER,
        "/",
        "where this worker finds the host's /dev, /sys and /var/run: in a container, the folder "
        "the host's root is mounted at",
    ),
    V(
        "IEXEC_WORKER_TDX_AGENT",
        "tee.tdx_agent",
        p.PROGRAM,
        TDX_AGENT,
        "program that fetches the secrets of TDX tasks; where it is, such tasks are taken",
    ),
    V(
        "IEXEC_WORKER_TEE_EXTRA_HOSTS",
        "tee.extra_hosts",
        p.EXTRA_HOSTS,
        "",
        "name:address of hosts that pre- and post-compute are to know",
    ),
    V(
        "IEXEC_WORKER_LOST_SCHEDULER_MISSES",
        "scheduler.lost_after",
        p.whole(),
        "3",
        "failed pings in a row after which the scheduler counts as lost",
    ),
    V(
        "IEXEC_WORKER_RESTART_INTENSITY",
        "supervision.restarts",
        p.whole(),
        "3",
        "times a part of the worker may fail within the restart period before the part above it is "
        "restarted",
    ),
    V(
        "IEXEC_WORKER_RESTART_PERIOD",
        "supervision.period",
        p.SPAN,
        "PT60S",
        "the restart period; a part that was well for this long starts counting afresh",
    ),
    V(
        "IEXEC_WORKER_DRAIN_TIMEOUT",
        "supervision.drain_timeout",
        p.SPAN,
        "PT10M",
        "time that tasks have to end after SIGTERM; what is left then goes on after a restart",
    ),
    V(
        "IEXEC_WORKER_LOG_LEVEL",
        "telemetry.log_level",
        p.choice("debug", "info", "warning", "error"),
        "info",
        "least level that is logged",
    ),
    V(
        "IEXEC_WORKER_LOG_FORMAT",
        "telemetry.log_format",
        p.choice("auto", "console", "json"),
        "auto",
        "form of the log; auto: console on a terminal, json elsewhere",
    ),
)

STANDARD: Final = (
    V("DOCKER_HOST", "docker.host", p.ENGINE, "", "container engine; default: its local socket"),
    V("HTTP_PROXY", "outbound.http_proxy", p.PROXY, "", "proxy of http URLs", ("http_proxy",)),
    V("HTTPS_PROXY", "outbound.https_proxy", p.PROXY, "", "proxy of https URLs", ("https_proxy",)),
    V("NO_PROXY", "outbound.no_proxy", p.HOSTS, "", "reached without a proxy", ("no_proxy",)),
    V(
        "SSL_CERT_FILE",
        "outbound.ca_file",
        p.CERTIFICATES,
        "",
        "certificates that those of https servers have to come from; default: the well-known ones",
    ),
)

REGISTRY_PREFIX: Final = "IEXEC_WORKER_DOCKER_REGISTRY"


def registry(index: int) -> tuple[Variable, ...]:
    """Return the variables of registry *index*; the address of registry 0 is not a variable."""
    where = "docker.io" if index == 0 else f"registry {index}"
    address = V(
        f"{REGISTRY_PREFIX}_ADDRESS_{index}",
        f"registry_{index}.address",
        p.TEXT,
        "",
        "address of a registry, as images name it",
    )
    log_in = (
        V(
            f"{REGISTRY_PREFIX}_USERNAME_{index}",
            f"registry_{index}.username",
            p.TEXT,
            "",
            f"user of {where}",
        ),
        V(
            f"{REGISTRY_PREFIX}_PASSWORD_{index}",
            f"registry_{index}.password",
            p.SECRET,
            "",
            f"password of {where}",
        ),
    )
    return log_in if index == 0 else (address, *log_in)


ALL: Final = (*SEED, *OURS, *STANDARD)
