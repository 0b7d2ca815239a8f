"""
The readers of outside data, each as a function of bytes: for property tests and for a fuzzer.

A target calls the reader as the worker does, swallows the errors that it documents, and asserts
what must hold of all that it lets pass. Whatever else leaves a target is a bug.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from iexec_worker.chain import abi, multiaddress, records
from iexec_worker.chain.node import rpc
from iexec_worker.chain.params import parse_deal_params
from iexec_worker.config import parsers
from iexec_worker.engine.command import split_command
from iexec_worker.engine.images.reference import parse_reference
from iexec_worker.errors import DownloadFailed, Rejected, StageFailed, Unavailable
from iexec_worker.inputs.addresses import is_public, literal
from iexec_worker.inputs.download import _parse as parse_url
from iexec_worker.inputs.guard import Guard
from iexec_worker.inputs.ipfs import gateway_urls, is_multiaddress
from iexec_worker.model import ChainConfig, ComputedFile, DealParams, Notification
from iexec_worker.replicates.journal import _read_or_set_aside
from iexec_worker.results import computed_file, reported
from iexec_worker.scheduler import messages, sockjs, stomp
from iexec_worker.stages.task import Folder
from iexec_worker.tee import answers, session_file
from iexec_worker.tee.enclave import Enclave, enclave_of
from iexec_worker.transport import shown
from iexec_worker.wire import Cause
from tests.samples import TASK

if TYPE_CHECKING:
    from collections.abc import Callable

    Target = Callable[[bytes], None]

_GATEWAY: Final = "https://gateway.test"

#: Folders are made and removed there fifty times as fast as on some disks.
_MEMORY: Final = Path("/dev/shm")

#: Characters of a JSON text, or of a name, may be halves of one: all of them must be taken.
_ANY_TEXT: Final = ("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    try:
        return data.decode(*_ANY_TEXT)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def deal_params(data: bytes) -> None:
    """The `params` of a deal, chosen by a requester: never an error."""
    text = _text(data)
    params = parse_deal_params(text)
    assert isinstance(params, DealParams)
    assert all(isinstance(url, str) for url in params.input_files)
    assert all(isinstance(value, str) for value in params.secrets.values())
    split_command(params.args)


def command(data: bytes) -> None:
    """The arguments of an app, chosen by a requester: never an error, no longer than they were."""
    text = _text(data)
    words = split_command(text)
    assert all(words)
    assert sum(map(len, words)) <= len(text)


def computed(data: bytes) -> None:
    """`computed.json`, written by an app."""
    with suppress(ValueError):
        found = computed_file.parse(data)
        assert isinstance(found.deterministic_output_path, str)
        assert isinstance(found.callback_data, str)
        assert found == ComputedFile(
            deterministic_output_path=found.deterministic_output_path,
            callback_data=found.callback_data,
        ), "more was believed than the place of the result"


def reports(data: bytes) -> None:
    """What enclaves send: one cause, causes, the computed file."""
    for read in (reported.cause, reported.causes):
        with suppress(ValueError):
            causes = read(data)
            assert causes
            assert len(set(causes)) == len(causes)
            assert all(isinstance(cause, Cause) for cause in causes)
    with suppress(ValueError):
        found = reported.computed(data, TASK)
        assert not reported.is_signed(found) or len(found.result_digest) == len(TASK)
        assert found.callback_data.encode().decode() == found.callback_data


def address(data: bytes) -> None:
    """The location of an asset, as its owner wrote it: a gateway serves no other path of its."""
    uri = multiaddress.decode_multiaddress(data)
    if not is_multiaddress(uri):
        return
    with suppress(DownloadFailed):
        (url,) = gateway_urls(uri, (_GATEWAY,))
        with suppress(DownloadFailed):
            asked = parse_url(url)
            assert asked.host == "gateway.test"
            assert asked.raw_path.startswith(b"/ipfs/"), asked
            assert b"/../" not in asked.raw_path.partition(b"?")[0] + b"/"


def url(data: bytes) -> None:
    """The URL of an input, chosen by a requester."""
    with suppress(DownloadFailed, Rejected):
        asked = parse_url(_text(data))
        assert asked.scheme in ("http", "https")
        assert shown(asked).removesuffix("…").isascii()
        assert shown(asked).isprintable()
        Guard().check_name(asked)
        spelled = literal(asked.host)
        assert spelled is None or is_public(spelled), "let pass"
        _hop(asked, data)


def _hop(asked: httpx.URL, data: bytes) -> None:
    """Follow a redirect to anything, as far as its request is made."""
    request = httpx.Request("GET", asked)
    assert request.headers["Host"]
    with suppress(httpx.InvalidURL, UnicodeError):
        asked.join(_text(data))


def image_name(data: bytes) -> None:
    """The name of an app's image, chosen by its owner."""
    with suppress(Rejected):
        found = parse_reference(_text(data))
        assert found.version
        assert parse_reference(str(found)).version == found.version
        assert str(found).isascii()
        assert not any(char.isspace() for char in str(found))


def sockjs_frames(data: bytes) -> None:
    """The body of the pool's answers: the same events, however it arrives in pieces."""
    whole, pieces = sockjs.Decoder(), sockjs.Decoder()
    middle = len(data) // 2
    once = [*whole.feed(data), *whole.end()]
    twice = [*pieces.feed(data[:middle]), *pieces.feed(data[middle:]), *pieces.end()]
    assert once == twice
    for event in once:
        if isinstance(event, sockjs.Messages):
            for text in event.texts:
                _frame(text)


def stomp_frames(data: bytes) -> None:
    """A message of the pool's broker, to which anybody may publish."""
    _frame(_text(data))


def _frame(text: str) -> None:
    with suppress(ValueError):
        received = stomp.parse(text)
        if isinstance(received, stomp.Message):
            messages.notification(received.body)


def notification(data: bytes) -> None:
    """All JSON of the pool, whatever it was meant to be."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(ValueError):
        found = messages.notification(body)
        assert found is None or isinstance(found, Notification)
    with suppress(ValueError):
        messages.notifications(body)
    with suppress(ValueError):
        messages.offer(body)
    with suppress(ValueError):
        assert messages.pool_config(body).ask_period > 0
    with suppress(ValueError):
        assert isinstance(messages.chain_config(body), ChainConfig)
    with suppress(ValueError):
        messages.task_ids(body)


def duration(data: bytes) -> None:
    """An ISO-8601 duration, of the pool's or in a variable."""
    text = _text(data)
    with suppress(ValueError):
        assert 0 < messages.block_time(text) < float("inf")
    with suppress(ValueError):
        assert 0 < parsers.SPAN.parse(text) < float("inf")


def journal(data: bytes) -> None:
    """The journal of a replicate, half written or by somebody else: set aside, never an error."""
    memory = _MEMORY if _MEMORY.is_dir() else None
    with TemporaryDirectory(prefix="iexec-worker-fuzz-", dir=memory) as base:
        root = Path(base) / TASK
        root.mkdir()
        Folder(root).journal.write_bytes(data)
        record = _read_or_set_aside(root)
        assert (record is None) != Folder(root).journal.exists()
        assert record is None or record.authorization.chain_task_id == TASK


def rpc_answer(data: bytes) -> None:
    """The answer of a chain node."""
    for count in (1, 2):
        with suppress(Unavailable):
            assert len(rpc.decode(data, count)) == count


def contract(data: bytes) -> None:
    """What a contract returns: deals, apps and datasets hold what strangers wrote into them."""
    answer = "0x" + data.hex()
    with suppress(Rejected):
        records.deal(abi.VIEW_DEAL.decode(answer))
    with suppress(Rejected):
        records.app(abi.VIEW_APP.decode(answer))
    with suppress(Rejected):
        records.dataset(abi.VIEW_DATASET.decode(answer))


def enclave(data: bytes) -> None:
    """The enclave configuration of an app, chosen by its owner."""
    with suppress(StageFailed):
        found = enclave_of(_text(data), 2**40)
        assert isinstance(found, Enclave)
        assert len(found.fingerprint.removeprefix("0x")) == 64
        assert found.heap <= 2**40
        assert found.framework == "GRAMINE" or (found.heap > 0 and found.entrypoint.strip())


def sms_answer(data: bytes) -> None:
    """All JSON of an SMS, whatever it was meant to be."""
    text = _text(data)
    with suppress(ValueError):
        assert answers.framework(text).isupper()
    with suppress(ValueError):
        found = answers.properties(text).services
        assert found.pre.image
        assert found.post.heap >= 0
    with suppress(ValueError):
        session = answers.session(text)
        assert f"{session.session_id}{session.url}".isascii()
    answers.session_cause(answers.session_error(text))


def tdx_session(data: bytes) -> None:
    """What an agent wrote down of a session, which an SMS made."""
    with suppress(ValueError):
        found = session_file.parse(data)
        for service in (found.pre, found.post):
            assert all(isinstance(value, str) for value in service.env.values())
        assert found.post.image


TARGETS: Final[dict[str, Target]] = {
    "deal-params": deal_params,
    "command": command,
    "computed-file": computed,
    "reports": reports,
    "multiaddress": address,
    "url": url,
    "image-name": image_name,
    "sockjs": sockjs_frames,
    "stomp": stomp_frames,
    "pool-json": notification,
    "duration": duration,
    "journal": journal,
    "rpc": rpc_answer,
    "contract": contract,
    "enclave": enclave,
    "sms": sms_answer,
    "tdx-session": tdx_session,
}


def quiet() -> None:
    """Drop what the readers log: a fuzzer makes them complain all the time."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
