from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from iexec_worker.chain import abi
from iexec_worker.errors import Rejected

SELECTORS = {
    "contribute": (abi.CONTRIBUTE, "34623484"),
    "reveal": (abi.REVEAL, "fc334e8c"),
    "contributeAndFinalize": (abi.CONTRIBUTE_AND_FINALIZE, "5facd761"),
    "viewDeal": (abi.VIEW_DEAL, "b74861b2"),
    "viewTaskABILegacy": (abi.VIEW_TASK, "248ad6a0"),
    "viewContribution": (abi.VIEW_CONTRIBUTION, "e741363b"),
    "viewAccount": (abi.VIEW_ACCOUNT, "6b55f4a5"),
    "viewCategory": (abi.VIEW_CATEGORY, "4f5f44ec"),
    "viewApp": (abi.VIEW_APP, "e1523fb4"),
    "viewDataset": (abi.VIEW_DATASET, "1e143ef7"),
    "owner": (abi.OWNER, "8da5cb5b"),
    "callbackgas": (abi.CALLBACK_GAS, "e63ec07d"),
}


@pytest.mark.parametrize("name", SELECTORS)
def test_selectors_are_those_of_the_contracts(name: str) -> None:
    function, selector = SELECTORS[name]

    assert (function.name, function.selector.hex()) == (name, selector)


def test_topics_are_those_of_the_contracts() -> None:
    assert (abi.TASK_CONTRIBUTE, abi.TASK_REVEAL, abi.TASK_FINALIZE) == (
        "0x3fdb8d7797562d49a81078dbf7fa1771958ea452f8b13d1148383bd9506aecfb",
        "0x4b1763d473ac8fa80b4432ba90047e1b92444d8fabc55e6a002d9b1a316d7959",
        "0x78ce8a8bc0fcb704e8ba3b3dbb36aa88002df8038128b4af2f27ef65db665044",
    )


@pytest.mark.parametrize("answer", ["0x", "0x00", "0xzz", "0x" + 31 * "00"])
def test_an_answer_that_is_none_of_the_hub_says_what_to_check(answer: str) -> None:
    with pytest.raises(Rejected, match="check the hub's address"):
        abi.VIEW_ACCOUNT.decode(answer)


def test_text_on_chain_that_is_no_text_is_read_all_the_same() -> None:
    answer = encode(["(string,string,uint256)"], [("name", "X?", 60)]).replace(b"X?", b"X\xff")
    assert abi.VIEW_CATEGORY.decode("0x" + answer.hex()) == (("name", "X\ufffd", 60),)


def test_an_answer_that_is_no_text_says_what_to_check() -> None:
    nothing: Any = None
    with pytest.raises(Rejected, match="check the hub's address"):
        abi.VIEW_ACCOUNT.decode(nothing)
