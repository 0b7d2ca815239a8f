from __future__ import annotations

from iexec_worker.engine.networks.apps import Place


def test_two_engines_of_a_host_have_bridges_and_rules_of_their_own_even_with_one_id() -> None:
    one, other = (
        Place.of({"ID": "7TJD:R6ZA", "DockerRootDir": folder}) for folder in ("/var/a", "/var/b")
    )
    assert one.bridge != other.bridge
    assert one.rules.chain != other.rules.chain
    assert one.bridge == Place.of({"ID": "7TJD:R6ZA", "DockerRootDir": "/var/a"}).bridge
