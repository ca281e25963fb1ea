"""What every part of the client calls with."""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from bandwatch.wire.channel import CALL_DEADLINE_S
from bandwatch.wire.status import bandwatch_errors

if TYPE_CHECKING:  # the name of the stub's type exists in stubs only
    from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub

Request_contra = TypeVar("Request_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)


class _PageRequest(Protocol):
    page_size: int
    page_token: str


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


PageRequestT = TypeVar("PageRequestT", bound=_PageRequest)
PageT = TypeVar("PageT", bound=_Page)
ResourceT = TypeVar("ResourceT")
_PAGE_SIZE: Final = 200


class _Call(Protocol[Request_contra, Answer_co]):
    def __call__(self, request: Request_contra, timeout: float | None = None) -> Answer_co: ...


class Caller:
    """Holds the stub that the parts of the client share."""

    _stub: "AdminServiceStub"


def call(method: _Call[Request_contra, Answer_co], request: Request_contra) -> Answer_co:
    """Call a method of the contract with its deadline; its errors are those of `bandwatch.errors`."""
    with bandwatch_errors():
        return method(request, timeout=CALL_DEADLINE_S)


def pages(
    method: _Call[PageRequestT, PageT], first: PageRequestT, resources: Callable[[PageT], Iterable[ResourceT]]
) -> Iterator[ResourceT]:
    """Yield what a list holds, and fetch its pages while it is read."""
    request = copy.deepcopy(first)
    request.page_size = _PAGE_SIZE
    while True:
        page = call(method, request)
        yield from resources(page)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
