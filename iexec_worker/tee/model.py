"""What a trusted task is made of, as SMS or agent told it; it survives the process."""

from __future__ import annotations

import enum

from attrs import field, frozen


class Part(enum.StrEnum):
    """The three containers of a trusted task, by the names that sessions have for them."""

    PRE = "pre-compute"
    APP = "app"
    POST = "post-compute"


@frozen
class Service:
    """
    One of those containers. *heap* in bytes, of an SGX enclave.

    *env* is what a TDX agent was given for it: keys and tokens, never to be shown.
    """

    image: str
    fingerprint: str = ""
    entrypoint: str = ""
    heap: int = 0
    env: dict[str, str] = field(factory=dict, repr=False, hash=False)


@frozen
class Services:
    """
    *app* is what an enclave has to know of the app, whose image is the chain's all the same.

    *las_image* is SCONE's. *pre* has no image when the session of a TDX task needs none.
    """

    pre: Service
    post: Service
    app: Service | None = None
    las_image: str = ""

    def of(self, part: Part) -> Service | None:
        """Return what is known of *part*."""
        return {Part.PRE: self.pre, Part.APP: self.app, Part.POST: self.post}[part]


@frozen
class TeeSession:
    """
    Where enclaves get their secrets: *url* is the `secretProvisioningUrl`.

    The id of a session is as good as its secrets where nobody attests.
    """

    session_id: str = field(repr=False)
    url: str


@frozen
class TeeState:
    """All that the containers of a task have to be told."""

    services: Services
    session: TeeSession
