"""The configuration as the rest of the program sees it: frozen, typed, complete."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from iexec_worker.config.masking import mask_credentials, mask_path, url_secrets
from iexec_worker.secret import Secret


def _masked(value: object) -> str:
    if isinstance(value, tuple):
        return repr(tuple(mask_path(url) for url in value))
    return repr(mask_credentials(value) if isinstance(value, str) else value)


@frozen
class Worker:
    """Who this worker is and how much it computes at a time."""

    name: str
    port: int
    bind: str
    base_dir: Path
    #: What the pool is told: the override, or all processors of this process but one.
    cpu_count: int
    gpu_enabled: bool
    #: "NONE", "LEGACY" or "NATIVE".
    tee_sgx_mode: str
    developer_logger: bool
    #: Bytes on the disk of *base_dir* below which no work is taken.
    min_free_disk: int

    @property
    def slots(self) -> int:
        """Tasks computed at a time; the pool gives a worker with GPU one task at a time."""
        return 1 if self.gpu_enabled else self.cpu_count

    @property
    def tasks_dir(self) -> Path:
        """The folder of the tasks' folders; the engine's host must have it at the same path."""
        return self.base_dir / self.name


@frozen
class Scheduler:
    """The pool's scheduler. *lost_after* pings failed in a row it counts as lost."""

    url: str
    pool_address: str
    lost_after: int


@frozen
class Chain:
    """*node_urls* empty: the config server names the node. *gas_price_cap* in wei, 0: no gas."""

    node_urls: tuple[str, ...] = field(repr=_masked)
    gas_price_multiplier: float
    gas_price_cap: int


@frozen
class WalletFile:
    """A V3 keystore and what decrypts it; whether it is there shows when it is read."""

    path: Path
    password: Secret
    #: False: *password* is the default, which everybody knows; fine to read with, not to create.
    password_given: bool = False


@frozen
class RegistryCredentials:
    """Log-in to the registry with exactly this *address* (host, and port if it has one)."""

    address: str
    username: str
    password: Secret


@frozen
class Docker:
    """The container engine; *host* None: its default socket. Limits of pulls in seconds."""

    host: str | None
    network: str
    registries: tuple[RegistryCredentials, ...]
    pull_min: float
    pull_max: float
    pull_stall: float


@frozen
class ImageRules:
    """
    Which apps are taken, how large an image may be, and when images are removed (bytes).

    An empty list allows all: *registries* `host` or `host/path`, *apps* and *requesters* addresses.
    """

    max_bytes: int
    cache_high: int
    cache_low: int
    registries: tuple[str, ...]
    apps: tuple[str, ...]
    requesters: tuple[str, ...]


@frozen
class Sandbox:
    """
    What a task's app may use of the machine.

    *network* "public", "full" or "none". *cpus* None: an equal part. Zero of *memory_percent* and
    *cpus* is no limit. *runtime* None: the engine's own.
    """

    network: str
    memory_percent: int
    swap_percent: int
    cpus: float | None
    pids: int
    open_files: int
    oom_score_adj: int
    log_bytes: int
    disk_bytes: int
    capabilities: tuple[str, ...]
    runtime: str | None
    read_only_root: bool


@frozen
class Inputs:
    """Where datasets and input files may come from; *max_bytes* are for those of one task."""

    ipfs_gateways: tuple[str, ...]
    allow_private: tuple[str, ...]
    max_bytes: int


@frozen
class Results:
    """What the result of a task may have: *max_bytes* of files, *max_entries* of any kind."""

    max_bytes: int
    max_entries: int
    max_depth: int


@frozen
class Tee:
    """
    What enclaves need; sizes in GB of 1024³ bytes.

    *host_root*: below it are the `/dev` and `/sys` of the engine's host as this process sees them.
    *extra_hosts*: names and addresses for pre- and post-compute.
    """

    max_heap_gb: int
    scone_show_version: bool
    scone_log_level: str
    scontain_registry: str
    scontain_username: str | None
    scontain_password: Secret | None
    las_port: int
    host_root: Path
    tdx_agent: Path
    extra_hosts: tuple[tuple[str, str], ...]

    @property
    def max_heap(self) -> int:
        """The largest heap in bytes."""
        return self.max_heap_gb * 1024**3

    @property
    def scontain_login(self) -> RegistryCredentials | None:
        """The log-in to the registry of LAS images, None without a user or a password."""
        if not self.scontain_username or self.scontain_password is None:
            return None
        return RegistryCredentials(
            self.scontain_registry, self.scontain_username, self.scontain_password
        )


@frozen
class Outbound:
    """
    How other machines are reached over HTTP: by URLs of forward proxies, but for the hosts of
    *no_proxy*; and whom their certificates have to come from, None for the well-known roots.
    """

    http_proxy: str | None = field(default=None, repr=_masked)
    https_proxy: str | None = field(default=None, repr=_masked)
    no_proxy: tuple[str, ...] = ()
    ca_file: Path | None = None


@frozen
class Telemetry:
    """*metrics_window* runs are remembered; *log_format* "auto" asks whether stderr is a tty."""

    metrics_window: int
    log_level: str
    log_format: str


@frozen
class Supervision:
    """
    A part of the tree may fail *restarts* times within *period* seconds.

    *drain_timeout*: seconds that replicates have to end after SIGTERM.
    """

    restarts: int
    period: float
    drain_timeout: float


@frozen
class Config:
    """Everything an operator can set."""

    worker: Worker
    scheduler: Scheduler
    chain: Chain
    wallet: WalletFile
    docker: Docker
    images: ImageRules
    sandbox: Sandbox
    inputs: Inputs
    results: Results
    tee: Tee
    outbound: Outbound
    telemetry: Telemetry
    supervision: Supervision

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every text in here that a log must not show, parts of URLs included."""
        urls = (
            *self.chain.node_urls,
            self.outbound.http_proxy or "",
            self.outbound.https_proxy or "",
        )
        return (
            self.wallet.password,
            *(registry.password for registry in self.docker.registries),
            *((self.tee.scontain_password,) if self.tee.scontain_password else ()),
            *(secret for url in urls for secret in url_secrets(url)),
        )
