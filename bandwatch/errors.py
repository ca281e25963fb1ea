"""One error tree: a stable code and a sentence that a user can act on."""

from typing import ClassVar


class BandwatchError(Exception):
    """Root of every error that Bandwatch raises on purpose; never raised itself."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFoundError(BandwatchError):
    """The named thing does not exist."""

    code = "not_found"


class AlreadyExistsError(BandwatchError):
    """A thing of that name exists, and it is another one."""

    code = "already_exists"


class InvalidArgumentError(BandwatchError):
    """The input can never be accepted as it is."""

    code = "invalid_argument"


class FailedPreconditionError(BandwatchError):
    """The system is not in the state that the request needs."""

    code = "failed_precondition"


class ConflictError(BandwatchError):
    """Somebody else changed the thing first: read it again, then retry."""

    code = "conflict"


class UnauthenticatedError(BandwatchError):
    """The caller did not say who it is in a way that can be believed."""

    code = "unauthenticated"


class PermissionDeniedError(BandwatchError):
    """The caller is known, and may not do this."""

    code = "permission_denied"


class UnavailableError(BandwatchError):
    """A service cannot be reached at present; trying again may help."""

    code = "unavailable"


class CorruptError(BandwatchError):
    """Bytes are not what their digest, signature or format promised."""

    code = "corrupt"
