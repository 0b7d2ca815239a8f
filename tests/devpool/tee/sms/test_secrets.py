from __future__ import annotations

from typing import TYPE_CHECKING

from tests.devpool.tee.sms.desk import STRANGER, TOKEN, WORKER, address, owned

if TYPE_CHECKING:
    from tests.devpool.tee.sms.desk import Desk


async def test_a_secret_is_added_once_and_then_updated(desk: Desk) -> None:
    async def there() -> int:
        return (await desk.client.head("/secrets/web2", params=owned())).status_code

    assert await there() == 404
    assert await desk.keep("PUT", "early") == 404
    assert await desk.keep("POST", "first") == 204
    assert await there() == 204
    assert await desk.keep("POST", "again") == 409
    assert desk.sms.vault.web2(address(WORKER), TOKEN) == "first"
    assert await desk.keep("PUT", "second") == 204
    assert await desk.keep("PUT", "second") == 204
    assert desk.sms.vault.web2(address(WORKER), TOKEN) == "second"


async def test_only_its_owner_keeps_a_secret(desk: Desk) -> None:
    assert await desk.keep("POST", "theirs", account=STRANGER) == 401
    assert await desk.keep("POST", "ours") == 204
    assert await desk.keep("PUT", "theirs", account=STRANGER) == 401
    assert desk.sms.vault.web2(address(WORKER), TOKEN) == "ours"


async def test_a_signature_is_for_one_value_only(desk: Desk) -> None:
    assert await desk.keep("POST", "ours") == 204
    sent = desk.client.build_request("PUT", "/secrets/web2", params=owned(), content="other")
    for signature, status in (("0x" + 130 * "1", 401), ("nonsense", 401), (None, 400)):
        headers = {"Authorization": signature} if signature else {}
        answer = await desk.client.put(sent.url, content="other", headers=headers)
        assert answer.status_code == status


async def test_a_secret_has_4096_bytes_at_most(desk: Desk) -> None:
    assert await desk.keep("POST", 4097 * "a") == 413
    assert await desk.keep("POST", 2048 * "ä") == 204


async def test_names_and_owners_count_in_any_case(desk: Desk) -> None:
    assert await desk.keep("POST", "value", name=TOKEN.upper()) == 204

    shouted = owned(owner=address(WORKER).upper().replace("0X", "0x"))
    assert (await desk.client.head("/secrets/web2", params=shouted)).status_code == 204


async def test_a_question_without_an_owner_is_400(desk: Desk) -> None:
    for method in ("HEAD", "POST", "PUT"):
        answer = await desk.client.request(method, "/secrets/web2", params={"secretName": "n"})
        assert answer.status_code == 400
