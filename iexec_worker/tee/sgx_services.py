"""What all SGX frameworks ask before a task starts, in the order in which it has causes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from iexec_worker.errors import Declined, Rejected, StageFailed, Unauthorized, Unavailable
from iexec_worker.tee.enclave import enclave_of
from iexec_worker.tee.model import Service
from iexec_worker.tee.patience import PATIENCE, patiently
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.model import TaskDescription, TeeFramework
    from iexec_worker.tee.images import TeeImages
    from iexec_worker.tee.model import Services
    from iexec_worker.tee.sms import Sms


@frozen
class SgxServices:
    """*max_heap* in bytes; *patience*: seconds that an SMS may be away."""

    framework: TeeFramework
    images: TeeImages
    max_heap: int
    patience: float = PATIENCE

    async def find(self, task: TaskDescription, sms: Sms, show: Callable[[str], None]) -> Services:
        """
        Return the services of *task*, whose images are here.

        Raises `StageFailed`, and `Unavailable` when the engine is away.
        """
        enclave = enclave_of(task.app_enclave, self.max_heap)
        show(f"asking the SMS {sms.name}")
        services = await self._ask(sms, enclave.version)
        for image in (services.pre.image, services.post.image):
            await self._have(image, task.time_reference, show)
        app = Service(task.app_uri, enclave.fingerprint, enclave.entrypoint, enclave.heap)
        return attrs.evolve(services, app=app)

    async def _ask(self, sms: Sms, version: str) -> Services:
        try:
            served = await patiently(sms.framework, self.patience)
            if served == self.framework.name:
                ask = partial(sms.properties, self.framework, version)
                return await patiently(ask, self.patience)
        except (Rejected, Unauthorized, Unavailable) as error:
            raise _unconfigured(str(error)) from error
        raise _unconfigured(f"SMS {sms.name} serves {served}, not {self.framework.name}")

    async def _have(self, image: str, time_reference: float, show: Callable[[str], None]) -> None:
        try:
            await self.images.have(image, time_reference, show)
        except (Rejected, Declined) as error:
            raise _unconfigured(str(error)) from error


def _unconfigured(message: str) -> StageFailed:
    return StageFailed(Cause.GET_TEE_SERVICES_CONFIGURATION_FAILED, message)
