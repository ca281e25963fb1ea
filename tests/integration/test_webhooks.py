"""Messages of incidents to a real HTTP server that may fail, hang, or send us elsewhere."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc.aio
import pytest

from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import incident_pb2 as pb
from coordinator import parts
from coordinator.registry.incidents import DeliveryState
from coordinator.services.detection import merges, webhooks
from coordinator.services.detection.postings import Postman
from tests.integration.conftest import Coordinator
from tests.integration.platforms import until
from tests.integration.reported_events import CENTER_HZ, ago, event
from tests.integration.scripted_agents import Fleet, fleet_of
from tests.integration.webhook_receiver import Mood, Receiver, receiving

IMPATIENT = {"webhook_retry_base_s": 1e-6, "webhook_retry_cap_s": 1e-6, "webhook_timeout_s": 0.5, "webhook_attempts": 3}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
async def fleet(coordinator: Coordinator) -> AsyncIterator[Fleet]:
    async with fleet_of(coordinator, 2) as made:
        yield made


@asynccontextmanager
async def postman_of(fleet: Fleet, **changes: float) -> AsyncIterator[Postman]:
    settings = fleet.coordinator.settings.model_copy(update={**IMPATIENT, **changes})
    postman = parts.make_postman(fleet.registry, settings)
    try:
        yield postman
    finally:
        await postman.close()


async def hook(
    fleet: Fleet, url: str, severity: pb.Severity.ValueType = pb.SEVERITY_UNSPECIFIED, name: str = "duty"
) -> str:
    """Register a webhook and return the key of its signatures."""
    wanted = pb.Webhook(url=url, severity=severity)
    return (await fleet.admin.CreateWebhook(pb.CreateWebhookRequest(webhook_id=name, webhook=wanted))).secret


async def see(fleet: Fleet, *events: pb.Event) -> None:
    answer = await fleet.agents[0].service.ReportEvents(pb.ReportEventsRequest(events=events))
    assert all(outcome.accepted for outcome in answer.outcomes)


async def deliveries(fleet: Fleet) -> list[pb.Delivery]:
    return list((await fleet.admin.ListDeliveries(pb.ListDeliveriesRequest())).deliveries)


async def test_a_message_is_signed_over_time_and_body_and_says_what_happened(fleet: Fleet, receiver: Receiver) -> None:
    secret = await hook(fleet, receiver.url)
    await see(fleet, event(1))
    async with postman_of(fleet) as postman:
        assert await postman.deliver() == 1
        assert await postman.deliver() == 0
    [posted] = receiver.posted
    stamp, signature = (part.partition("=")[2] for part in posted.headers["Bandwatch-Signature"].split(","))
    expected = hmac.new(secret.encode(), f"{stamp}.{posted.body}".encode(), hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    assert abs(time.time() - int(stamp)) < 30
    told = json.loads(posted.body)
    [delivery] = await deliveries(fleet)
    assert (told["happening"], told["delivery"], told["incident"]["observers"]) == (
        "opened",
        delivery.name,
        ["observers/o0"],
    )
    assert (delivery.state, delivery.attempts) == (pb.DELIVERY_STATE_DELIVERED, 1)


@pytest.mark.parametrize(
    ("mood", "error"),
    [("fails", "answered 500"), ("moved", "answered 307"), ("hangs", "no answer within"), ("trickles", "no answer")],
)
async def test_a_message_that_nobody_takes_is_dead_after_so_many_tries_and_can_be_tried_again(
    fleet: Fleet, receiver: Receiver, mood: Mood, error: str
) -> None:
    await hook(fleet, receiver.url)
    await see(fleet, event(1))
    receiver.mood = mood
    async with postman_of(fleet) as postman:
        assert [await postman.deliver() for _ in range(4)] == [1, 1, 1, 0]
        [dead] = await deliveries(fleet)
        assert (dead.state, dead.attempts) == (pb.DELIVERY_STATE_DEAD, 3)
        assert error in dead.last_error
        receiver.mood = "well"
        waiting = (await fleet.admin.RetryDelivery(pb.RetryDeliveryRequest(name=dead.name))).delivery
        assert waiting.state == pb.DELIVERY_STATE_WAITING
        assert await postman.deliver() == 1
    [delivered] = await deliveries(fleet)
    assert delivered.state == pb.DELIVERY_STATE_DELIVERED
    assert {posted.path for posted in receiver.posted} == {"/hook"}
    assert len({posted.body for posted in receiver.posted}) == 1


async def test_a_message_to_nobody_waits_longer_after_each_failure(fleet: Fleet) -> None:
    await hook(fleet, "http://127.0.0.1:9/hook")
    await see(fleet, event(1))
    async with postman_of(fleet, webhook_retry_base_s=60.0, webhook_retry_cap_s=600.0) as postman:
        assert [await postman.deliver() for _ in range(2)] == [1, 0]
    [waiting] = await deliveries(fleet)
    wait_s = waiting.next_time.ToSeconds() - waiting.create_time.ToSeconds()
    assert 29 <= wait_s <= 75
    assert "Connect" in waiting.last_error


def test_waits_double_up_to_the_cap_and_differ() -> None:
    rules = webhooks.RetryRules(8, timedelta(seconds=2), timedelta(seconds=10))
    for attempts, step_s in ((1, 2), (2, 4), (3, 8), (4, 10), (8, 10)):
        waits_s = [rules.wait(attempts).total_seconds() for _ in range(50)]
        assert step_s / 2 <= min(waits_s) < max(waits_s) <= step_s


async def test_two_schedulers_send_each_message_once(fleet: Fleet, receiver: Receiver) -> None:
    await hook(fleet, receiver.url)
    for number in range(6):
        await see(fleet, event(number, low_mhz=-2.4 + 0.7 * number, high_mhz=-2.2 + 0.7 * number))
    async with postman_of(fleet, webhook_timeout_s=10.0) as one, postman_of(fleet, webhook_timeout_s=10.0) as two:
        assert sum([await postman.deliver() for _ in range(4) for postman in (one, two)]) == 6
    assert len({posted.headers["Bandwatch-Delivery"] for posted in receiver.posted}) == len(receiver.posted) == 6


async def test_a_webhook_is_told_when_an_incident_opens_gets_worse_and_ends(fleet: Fleet, receiver: Receiver) -> None:
    await hook(fleet, receiver.url, pb.SEVERITY_MEDIUM)
    begun = ago(60)
    await see(fleet, event(1, start_at=begun, severity=pb.SEVERITY_LOW))
    assert await deliveries(fleet) == []
    await see(fleet, event(1, start_at=begun, severity=pb.SEVERITY_HIGH))
    await see(fleet, event(1, start_at=begun, severity=pb.SEVERITY_HIGH, end_at=ago(40)))
    async with fleet.registry.transaction() as session:
        await merges.settle(session, parts.merge_rules(fleet.coordinator.settings))
    async with postman_of(fleet) as postman:
        assert [await postman.deliver() for _ in range(3)] == [1, 1, 0]
    assert [json.loads(posted.body)["happening"] for posted in receiver.posted] == ["escalated", "ended"]


@pytest.mark.fault(
    "a webhook that never answers",
    "it holds up no other",
)
async def test_a_receiver_that_never_answers_holds_up_no_other(fleet: Fleet, receiver: Receiver) -> None:
    with receiving() as hanging:
        hanging.mood = "hangs"
        await hook(fleet, hanging.url, name="a-hanging-one")
        await hook(fleet, receiver.url)
        for number in range(3):
            await see(fleet, event(number, low_mhz=-2.4 + 0.7 * number, high_mhz=-2.2 + 0.7 * number))
        async with postman_of(fleet, webhook_timeout_s=60.0) as postman:
            keeping = asyncio.create_task(postman.keep())
            await asyncio.to_thread(until, lambda: len(receiver.posted) == 3, "every message to the other", 20)
            keeping.cancel()
        assert len(hanging.posted) == 1


async def test_nobody_is_told_of_a_muted_incident_or_of_a_self_test(fleet: Fleet, receiver: Receiver) -> None:
    await hook(fleet, receiver.url)
    mute = pb.Mute(cell="cells/oak", low_hz=CENTER_HZ, high_hz=CENTER_HZ + 2e6)
    await fleet.admin.CreateMute(pb.CreateMuteRequest(mute=mute, lifetime=to_duration_message(timedelta(hours=1))))
    order = pb.CreateSelfTestRequest(self_test=pb.SelfTest(observer="observers/o0"))
    test = (await fleet.admin.CreateSelfTest(order)).self_test
    await see(fleet, event(1), event(2, low_mhz=-2.0, high_mhz=-1.0, self_test=test.name))
    assert await deliveries(fleet) == []


async def test_a_message_of_a_change_that_was_not_committed_is_not_there(fleet: Fleet) -> None:
    await hook(fleet, "http://127.0.0.1:9/hook")
    await see(fleet, event(1, start_at=ago(90), end_at=ago(80)))
    rules = parts.merge_rules(fleet.coordinator.settings)

    async def end_and_fail() -> None:
        async with fleet.registry.transaction() as session:
            await merges.settle(session, rules)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await end_and_fail()
    assert len(await deliveries(fleet)) == 1


async def test_deleting_a_webhook_deletes_its_messages_and_a_delivered_one_is_not_tried_again(
    fleet: Fleet, receiver: Receiver
) -> None:
    await hook(fleet, receiver.url)
    await see(fleet, event(1))
    async with postman_of(fleet) as postman:
        await postman.deliver()
    [delivered] = await deliveries(fleet)
    with pytest.raises(grpc.aio.AioRpcError, match=f"is {DeliveryState.DELIVERED.value}"):
        await fleet.admin.RetryDelivery(pb.RetryDeliveryRequest(name=delivered.name))
    await fleet.admin.DeleteWebhook(pb.DeleteWebhookRequest(name="webhooks/duty"))
    assert await deliveries(fleet) == []
    assert list((await fleet.admin.ListWebhooks(pb.ListWebhooksRequest())).webhooks) == []
