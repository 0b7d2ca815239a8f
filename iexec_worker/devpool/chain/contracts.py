"""
The real PoCo contracts, deployed on a chain of one's own in native mode.

The hub is a diamond: one address that delegates every selector to a facet. PoCo's own deployment
scripts are not published with the artifacts; this is what they amount to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool.chain.abi import Abi
from iexec_worker.devpool.chain.artifacts import Artifact, load
from iexec_worker.model import ZERO_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iexec_worker.devpool.chain.sender import Sender

_LIBRARY: Final = "IexecLibOrders_v5"
_ESCROW: Final = "IexecEscrowNativeFacet"
_FACETS: Final = (
    "IexecAccessorsABILegacyFacet",
    "IexecCategoryManagerFacet",
    "IexecConfigurationExtraFacet",
    "IexecConfigurationFacet",
    _ESCROW,
    "IexecOrderManagementFacet",
    "IexecPoco1Facet",
    "IexecPoco2Facet",
    "IexecPocoAccessorsFacet",
    "IexecRelayFacet",
)
_REGISTRIES: Final = ("AppRegistry", "DatasetRegistry", "WorkerpoolRegistry")
_HUB_INTERFACE: Final = "IexecInterfaceNative"

#: How the diamond knows its `receive` and its `fallback`.
_RECEIVE: Final = bytes(4)
_FALLBACK: Final = b"\xff" * 4
_OWNER: Final = bytes.fromhex("8da5cb5b")
_ADD: Final = 0


@frozen
class Category:
    """A category of tasks: *time* is T, the unit of all deadlines, in seconds."""

    name: str
    time: int


#: By category id. The first five are those of the real market; tests cannot wait that long.
CATEGORIES: Final = (
    Category("XS", 300),
    Category("S", 1_200),
    Category("M", 3_600),
    Category("L", 10_800),
    Category("XL", 36_000),
    Category("5 s", 5),
    Category("20 s", 20),
    Category("60 s", 60),
    Category("120 s", 120),
)


@frozen
class Contract:
    """A deployed contract and how to talk to it."""

    address: str
    abi: Abi


@frozen
class Contracts:
    """The hub and the three registries."""

    chain_id: int
    hub: Contract
    apps: Contract
    datasets: Contract
    workerpools: Contract


def category_id(time: int) -> int:
    """The id of the category with a time reference of *time* seconds; ValueError if none has."""
    return [category.time for category in CATEGORIES].index(time)


async def deploy(package: Path, admin: Sender, chain_id: int) -> Contracts:
    """Deploy PoCo from the unpacked *package*; *admin* will own the hub and the registries."""
    names = (_LIBRARY, "Diamond", *_FACETS, *_REGISTRIES, _HUB_INTERFACE)
    artifacts = await trio.to_thread.run_sync(lambda: {n: load(package, n) for n in names})
    library = (await admin.send(None, artifacts[_LIBRARY].creation())).contract
    cuts = [await _facet(admin, artifacts[name], library) for name in _FACETS]
    cuts.append(await _ownership(admin))
    diamond = artifacts["Diamond"].creation(cuts, (admin.address, ZERO_ADDRESS, b""))
    hub = (await admin.send(None, diamond)).contract
    apps, datasets, workerpools = [
        Contract(await _registry(admin, artifacts[name]), artifacts[name].abi)
        for name in _REGISTRIES
    ]
    contracts = Contracts(
        chain_id=chain_id,
        hub=Contract(hub, artifacts[_HUB_INTERFACE].abi),
        apps=apps,
        datasets=datasets,
        workerpools=workerpools,
    )
    await _configure(admin, contracts)
    return contracts


async def _facet(
    admin: Sender, artifact: Artifact, library: str
) -> tuple[str, int, Sequence[bytes]]:
    code = artifact.creation(libraries={_LIBRARY: library})
    selectors = artifact.abi.selectors
    if artifact.name == _ESCROW:
        selectors += (_RECEIVE, _FALLBACK)
    return (await admin.send(None, code)).contract, _ADD, selectors


async def _ownership(admin: Sender) -> tuple[str, int, Sequence[bytes]]:
    """
    A facet for `owner()`, which PoCo asks of its own address; no published facet answers it.

    PUSH20 owner, store it at 0, return 32 bytes from 0 (RETURNDATASIZE is a cheap zero).
    """
    runtime = bytes.fromhex(f"73{admin.address[2:]}3d5260203df3")
    # Copy the code behind these nine bytes to 0 and return it.
    creation = bytes.fromhex(f"60{len(runtime):02x}8060093d393df3") + runtime
    return (await admin.send(None, creation)).contract, _ADD, (_OWNER,)


async def _registry(admin: Sender, artifact: Artifact) -> str:
    registry = (await admin.send(None, artifact.creation())).contract
    await admin.send(registry, artifact.abi.call("initialize", ZERO_ADDRESS))
    return registry


async def _configure(admin: Sender, contracts: Contracts) -> None:
    registries = [c.address for c in (contracts.apps, contracts.datasets, contracts.workerpools)]
    hub = contracts.hub
    # No token and no older hub: stakes are the chain's own coin.
    settings = (ZERO_ADDRESS, "Staked RLC", "SRLC", 9, *registries, ZERO_ADDRESS)
    await admin.send(hub.address, hub.abi.call("configure", *settings))
    for category in CATEGORIES:
        call = hub.abi.call("createCategory", category.name, "", category.time)
        await admin.send(hub.address, call)
