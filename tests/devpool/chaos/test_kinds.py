from __future__ import annotations

from iexec_worker.devpool.chaos.kinds import KINDS, possible

ALL: frozenset[str] = frozenset()


def test_root_can_do_every_harm() -> None:
    assert possible(ALL, root=True).keys() == KINDS.keys()


def test_without_root_engine_and_disk_are_spared() -> None:
    spared = KINDS.keys() - possible(ALL, root=False).keys()

    assert spared == {"freeze-engine", "restart-engine", "fill-disk"}


def test_only_what_is_wanted_is_done() -> None:
    assert possible(frozenset({"kill", "reset"}), root=True).keys() == {"kill", "reset"}
    assert possible(frozenset({"fill-disk"}), root=False) == {}
