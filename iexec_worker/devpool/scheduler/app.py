"""The scheduler as an ASGI app: REST and `/connect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iexec_worker.devpool.broker import sockjs
from iexec_worker.devpool.http import spring
from iexec_worker.devpool.scheduler import rest

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from iexec_worker.devpool.scheduler.scheduler import Scheduler


def make_app(scheduler: Scheduler) -> QuartTrio:
    """All routes; each request meets the process that runs when it comes."""
    app = spring.make_app("scheduler")
    app.register_blueprint(rest.login(scheduler))
    app.register_blueprint(rest.workers(scheduler))
    app.register_blueprint(rest.replicates(scheduler))
    app.register_blueprint(sockjs.routes(lambda: scheduler.process.sockjs))
    return app
