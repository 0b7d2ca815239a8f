from __future__ import annotations

import pytest
from eth_abi.abi import encode

from iexec_worker.chain.node.rpc import NodeRefused, Request, decode
from iexec_worker.chain.node.rpc import encode as encode_requests
from iexec_worker.chain.reverts import decode_revert, is_revert, reason
from iexec_worker.errors import Unavailable

SHORT = encode(["string"], ["IexecEscrow: Transfer amount exceeds balance"])
ERROR = bytes.fromhex("08c379a0") + SHORT


def refused(error: str) -> NodeRefused:
    (answer,) = decode(b'{"jsonrpc": "2.0", "id": 0, "error": %s}' % error.encode(), 1)
    assert isinstance(answer, NodeRefused)
    return answer


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (ERROR, "IexecEscrow: Transfer amount exceeds balance"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), "panic: arithmetic overflow"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x99]), "panic: 0x99"),
        (bytes.fromhex("deadbeef01"), "custom error 0xdeadbeef01"),
        (bytes.fromhex("08c379a0ff"), "custom error 0x08c379a0ff"),
    ],
)
def test_revert_data(data: bytes, text: str) -> None:
    assert decode_revert(data) == text


@pytest.mark.parametrize(
    "error",
    [
        '{"code": 3, "message": "execution reverted", "data": "0x%s"}',
        '{"code": -32603, "message": "VM Exception", "data": {"data": "0x%s"}}',
        '{"code": -32015, "message": "VM execution error.", "data": "Reverted 0x%s"}',
    ],
    ids=["geth", "hardhat", "openethereum"],
)
def test_reasons_of_different_nodes(error: str) -> None:
    answer = refused(error % ERROR.hex())

    assert is_revert(answer)
    assert reason(answer) == "IexecEscrow: Transfer amount exceeds balance"


def test_a_reason_in_the_message_alone() -> None:
    assert reason(refused('{"code": -32000, "message": "execution reverted: no"}')) == "no"
    assert reason(refused('{"code": -32000, "message": "execution reverted"}')) == ""


def test_other_refusals_are_no_reverts() -> None:
    assert not is_revert(refused('{"code": -32601, "message": "method not found"}'))


def test_an_error_may_be_text_alone() -> None:
    assert refused('"no"').message == "no"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'[{"id": 0}]',
        b'[{"id": "a", "result": 1}]',
        b'{"id": 0, "error": []}',
        b'{"id": 0, "error": {"code": "x"}}',
        b'{"id": 0, "error": {"code": -32005, "message": "limit exceeded"}}',
        b'{"id": 0, "error": {"code": -32000, "message": "header not found"}}',
    ],
)
def test_what_is_no_answer_is_unavailable(body: bytes) -> None:
    with pytest.raises(Unavailable):
        decode(body, 1)


def test_a_single_request_is_no_batch() -> None:
    assert encode_requests([Request("eth_chainId")]).startswith(b"{")
    assert encode_requests(2 * [Request("eth_chainId")]).startswith(b"[")
