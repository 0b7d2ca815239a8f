"""The config server: where workers learn which chain the pool is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from iexec_worker.devpool.http import spring

if TYPE_CHECKING:
    from quart import Response
    from quart_trio import QuartTrio


@frozen
class ChainSettings:
    """What `/config/chain` says; *block_time* in seconds."""

    chain_id: int
    node_url: str
    hub: str
    sidechain: bool
    block_time: float

    def as_json(self) -> dict[str, Any]:
        """The answer, with the block time as an ISO 8601 duration."""
        return {
            "chainId": self.chain_id,
            "sidechain": self.sidechain,
            "chainNodeUrl": self.node_url,
            "iexecHubContractAddress": self.hub,
            "blockTime": f"PT{self.block_time:g}S",
        }


def make_app(settings: ChainSettings) -> QuartTrio:
    """The config server as an ASGI app."""
    app = spring.make_app("config-server")

    @app.get("/config/chain")
    async def chain() -> Response:
        return spring.as_json(settings.as_json())

    return app
