"""The sessions of an SMS: who gets one, and what the enclaves of a task find in it."""

from __future__ import annotations

import json
import secrets
import string
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import define, field, frozen

from iexec_worker.devpool.tee import enclave_config
from iexec_worker.devpool.tee.environments import Environments, NoSession
from iexec_worker.devpool.tee.execution import look_up, look_up_dataset
from iexec_worker.errors import Reverted, Unavailable
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.devpool.ipfs import Ipfs
    from iexec_worker.devpool.permits import Permit
    from iexec_worker.devpool.tee.execution import Chain, Dataset, Execution
    from iexec_worker.devpool.tee.properties import Properties
    from iexec_worker.devpool.tee.vault import Vault

PRE: Final = "pre-compute"
APP: Final = "app"
POST: Final = "post-compute"

_ALPHANUMERIC: Final = string.ascii_letters + string.digits


@frozen
class StageSession:
    """One enclave of a session, and what it is told: keys and tokens."""

    image: str
    fingerprint: str
    environment: dict[str, str] = field(repr=False, hash=False)


@frozen
class Session:
    """*stages*: by name, in the order in which they run. *version*: that of the framework."""

    session_id: str
    task_id: str
    version: str
    stages: Mapping[str, StageSession]

    def as_json(self) -> dict[str, Any]:
        """The document that the agent of a TDX worker gets."""
        services = [
            {
                "name": name,
                "image_name": stage.image,
                "fingerprint": stage.fingerprint,
                "environment": stage.environment,
            }
            for name, stage in self.stages.items()
        ]
        return {"name": self.session_id, "version": self.version, "services": services}


@define(eq=False)
class Sessions:
    """All sessions of the SMS of *framework*, whose *version* is in numbers; *files*: bulks."""

    framework: TeeFramework
    version: tuple[int, int, int]
    chain: Chain
    vault: Vault
    files: Ipfs
    known: dict[str, Session] = field(factory=dict, init=False)

    async def open(self, permit: Permit, key: str, properties: Mapping[str, Properties]) -> Session:
        """
        Open a session for who has *permit*, which was checked; *key* is the enclave's private key.

        Raises NoSession.
        """
        execution = await look_up(self.chain, permit.chain_task_id, self.version)
        if execution is None:
            raise NoSession("GET_TASK_DESCRIPTION_FAILED")
        if execution.framework is not self.framework:
            raise NoSession("SECURE_SESSION_NO_TEE_FRAMEWORK")
        execution = attrs.evolve(execution, datasets=await self._bulk(execution))
        environments = Environments(execution, self.vault, permit.wallet, key, self.version[0])
        version, images = _of(properties, execution.app.enclave)
        stages = {}
        if execution.has_inputs:
            stages[PRE] = StageSession(
                images.pre.image, images.pre.fingerprint, environments.pre_compute()
            )
        measured = enclave_config.fingerprint(execution.app.enclave)
        stages[APP] = StageSession(execution.app.image, measured, environments.app())
        stages[POST] = StageSession(
            images.post.image, images.post.fingerprint, environments.post_compute()
        )
        session = Session(_new_id(permit.chain_task_id), permit.chain_task_id, version, stages)
        self.known[session.session_id] = session
        return session

    async def _bulk(self, execution: Execution) -> tuple[Dataset, ...]:
        """The datasets of the task's slice; none when the lists cannot be had."""
        cid = execution.params.bulk_cid
        if not cid:
            return ()
        try:
            slices = json.loads(await self.files.read(cid))
            orders = json.loads(await self.files.read(slices[execution.index]))
            pointers = [str(order["dataset"]) for order in orders]
            found = [await look_up_dataset(self.chain, pointer) for pointer in pointers]
        except (OSError, ValueError, LookupError, TypeError, Unavailable, Reverted):
            return ()
        return tuple(dataset for dataset in found if dataset is not None)


def _of(properties: Mapping[str, Properties], config: str) -> tuple[str, Properties]:
    """The framework's version that the app wants, with its properties; the first, else."""
    wanted = enclave_config.version(config)
    version = wanted if wanted in properties else next(iter(properties))
    return version, properties[version]


def _new_id(task_id: str) -> str:
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(10)) + "0000" + task_id
