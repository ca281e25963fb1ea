"""Bands, cells and observers as messages."""

from datetime import timedelta

from google.protobuf.json_format import ParseDict

from bandwatch import names
from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.convert import to_duration_message, to_span, to_timestamp
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2, spectrum_pb2
from coordinator.registry import entities
from coordinator.registry.entities import LinkDirection, Mobility, Trust
from coordinator.registry.policies import CaptureOrder
from coordinator.rpc.messages.models import manifest_reference
from coordinator.rpc.messages.words import number_of, time_of, word_of
from coordinator.services.cells import Place
from coordinator.services.fleet.neighbours import Neighbour
from coordinator.services.fleet.observers import DesiredState


def band_message(band: entities.Band) -> spectrum_pb2.Band:
    """Return a band as a message."""
    return spectrum_pb2.Band(
        name=names.bands.name(band.id),
        title=band.title,
        center_hz=band.center_hz,
        width_hz=band.width_hz,
        direction=number_of(band.direction, spectrum_pb2.LinkDirection),
        create_time=time_of(band.created_at),
    )


def cell_message(cell: entities.Cell) -> spectrum_pb2.Cell:
    """Return a cell as a message."""
    return spectrum_pb2.Cell(
        name=names.cells.name(cell.id),
        title=cell.title,
        band=names.bands.name(cell.band_id),
        create_time=time_of(cell.created_at),
        latitude_deg=cell.latitude_deg,
        longitude_deg=cell.longitude_deg,
        radius_m=cell.radius_m,
    )


def cell_place(message: spectrum_pb2.Cell) -> Place | None:
    """Return where a cell serves, or nothing where the message does not say.

    Raises:
        InvalidArgumentError: It says a part of it only.
    """
    given = {field.name: value for field, value in message.ListFields() if field.name in Place._fields}
    if not given:
        return None
    if len(given) < len(Place._fields):
        raise InvalidArgumentError(
            f"a place is {', '.join(Place._fields)}, all three or none; only {', '.join(given)} came"
        )
    return Place(**given)


def observer_message(observer: entities.Observer, desired_serial: int) -> admin_service_pb2.Observer:
    """Return an observer as a message, with what it reported and the serial that it is to run."""
    message = admin_service_pb2.Observer(
        name=names.observers.name(observer.id),
        title=observer.title,
        cell=names.cells.name(observer.cell_id),
        mobility=number_of(observer.mobility, spectrum_pb2.Mobility),
        training_target=to_duration_message(observer.training_target),
        revision=observer.revision,
        create_time=time_of(observer.created_at),
        last_sync_time=time_of(observer.last_sync_at),
        desired_serial=desired_serial,
        trust=number_of(observer.trust, spectrum_pb2.Trust),
        upload_budget_bytes=observer.upload_budget_bytes,
    )
    if observer.reported is not None:
        ParseDict(observer.reported, message.reported, ignore_unknown_fields=True)
    return message


def desired_message(desired: DesiredState) -> observer_service_pb2.DesiredState:
    """Return what an observer is to be as a message."""
    message = observer_service_pb2.DesiredState(
        revision=desired.observer.revision,
        cell=cell_message(desired.cell),
        band=band_message(desired.band),
        training_target=to_duration_message(desired.observer.training_target),
        upload_budget_bytes=desired.observer.upload_budget_bytes,
        capture=_capture_message(desired.capture) if desired.capture else None,
    )
    for field, release in (
        (message.release, desired.release),
        (message.teacher, desired.teacher),
        (message.shadow, desired.shadow),
        (message.global_release, desired.global_release),
    ):
        if release is not None:
            field.CopyFrom(_assigned_message(release))
    message.neighbours.extend(_neighbour_message(neighbour) for neighbour in desired.neighbours)
    if desired.self_test:
        message.self_test.name = names.self_tests.name(desired.self_test.id)
        message.self_test.expire_time.CopyFrom(to_timestamp(desired.self_test.expires_at))
    return message


def _capture_message(capture: CaptureOrder) -> observer_service_pb2.CaptureOrder:
    return observer_service_pb2.CaptureOrder(
        order=capture.id,
        cell=names.cells.name(capture.cell_id),
        duration=to_duration_message(capture.duration),
        expire_time=to_timestamp(capture.expires_at),
    )


def _neighbour_message(neighbour: Neighbour) -> observer_service_pb2.CellAssignment:
    message = observer_service_pb2.CellAssignment(cell=cell_message(neighbour.cell), band=band_message(neighbour.band))
    if neighbour.release is not None:
        message.release.CopyFrom(_assigned_message(neighbour.release))
    if neighbour.teacher is not None:
        message.teacher.CopyFrom(_assigned_message(neighbour.teacher))
    return message


def _assigned_message(release: entities.Release) -> observer_service_pb2.AssignedRelease:
    return observer_service_pb2.AssignedRelease(serial=release.serial, manifest=manifest_reference(release))


def training_target(message: admin_service_pb2.Observer) -> timedelta | None:
    """Return how much an observer is to upload for training, or nothing where the message leaves it open."""
    return to_span(message.training_target) if message.HasField("training_target") else None


def trust(message: admin_service_pb2.Observer) -> Trust:
    """Return whether a new observer is trusted from the start; nobody is made who is shut out."""
    return Trust.TRUSTED if message.trust == spectrum_pb2.TRUST_TRUSTED else Trust.PROBATION


def mobility(message: admin_service_pb2.Observer) -> Mobility:
    """Return how an observer moves."""
    return word_of(Mobility, spectrum_pb2.Mobility, message.mobility)


def link_direction(message: spectrum_pb2.Band) -> LinkDirection:
    """Return which way a band carries traffic."""
    return word_of(LinkDirection, spectrum_pb2.LinkDirection, message.direction)
