"""The observer's certificate is renewed in time, and whenever the coordinator asks for it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from bandwatch.errors import UnauthenticatedError
from bandwatch.identity.identity_files import load_identity, save_identity
from observer_agent.agent.renewal import Renewal
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.conftest import MakeSettings, StartAgent
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import HandFedReceiver
from tests.unit.trusted_server import member


async def test_the_coordinator_asks_for_a_renewal_and_the_agent_goes_on_with_the_new_certificate(
    coordinator: FakeCoordinator, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    settings = make_settings()
    before = load_identity(settings.identity_folder, "")
    coordinator.wants_renewal = True
    async with start_agent(HandFedReceiver(), settings):
        await coordinator.until(lambda: coordinator.renewals == 1)
        async with asyncio.timeout(20):
            while load_identity(settings.identity_folder, "").certificate == before.certificate:
                await asyncio.to_thread(lambda: None)
        reports = len(coordinator.reports)
        assert coordinator.desired is not None
        coordinator.assign(None)
        await coordinator.changed()
        await coordinator.until(lambda: len(coordinator.reports) > reports)
    after = load_identity(settings.identity_folder, "")
    assert (after.name, after.key) == (before.name, before.key)
    assert coordinator.renewals == 1


@pytest.mark.fault(
    "a certificate that is nearly over",
    "it is renewed without being asked",
)
async def test_a_certificate_that_is_nearly_over_is_renewed_without_being_asked(
    coordinator: FakeCoordinator, make_settings: MakeSettings
) -> None:
    settings = make_settings()
    address = f"127.0.0.1:{coordinator.port}"
    save_identity(settings.identity_folder, member("observers/o1", address, lifetime=timedelta(seconds=3)))
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        await Renewal(uplink, settings.identity_folder).renew()
        assert uplink.identity == load_identity(settings.identity_folder, "")
    assert coordinator.renewals == 1


async def test_an_expired_certificate_is_said_to_be_so(make_settings: MakeSettings, tmp_path: Path) -> None:
    expired = member("observers/o1", lifetime=timedelta(seconds=-1))
    async with Uplink(make_settings(), expired) as uplink:
        with pytest.raises(UnauthenticatedError, match="enrol again"):
            await Renewal(uplink, tmp_path).renew()
