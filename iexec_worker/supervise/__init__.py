"""
Supervision: a restart policy wrapped round one service.

A service is `async def run(*, task_status)`: it calls `started` when it is really ready, loops,
and leaves its errors to whoever supervises it. The names are Erlang/OTP's. One-for-one is
`supervise`; rest-for-one is nesting nurseries; escalation is the exception that leaves the nursery.

    policy       when a service is started again, how soon, and when not any more
    failures     the errors of supervision; errors in one line; which failures still count
    supervisor   `supervise`: one service under its policy
    ending       the end of it all, within bounds
    ticks        `every`: a service's pulse
"""

from iexec_worker.supervise.ending import ends_in_time, ends_within
from iexec_worker.supervise.failures import (
    Escalated,
    Interrupted,
    ServiceReturnedError,
    describe,
    only,
)
from iexec_worker.supervise.policy import FOREVER, Backoff, Intensity, Policy, Restart
from iexec_worker.supervise.supervisor import Service, supervise
from iexec_worker.supervise.ticks import every

__all__ = [
    "FOREVER",
    "Backoff",
    "Escalated",
    "Intensity",
    "Interrupted",
    "Policy",
    "Restart",
    "Service",
    "ServiceReturnedError",
    "describe",
    "ends_in_time",
    "ends_within",
    "every",
    "only",
    "supervise",
]
