"""The contract's own rules, checked on every message from outside."""

from typing import Final

import protovalidate
from google.protobuf.message import Message

from bandwatch.errors import InvalidArgumentError

_VALIDATOR: Final = protovalidate.Validator()


def first_problem(message: Message) -> str | None:
    """Return what is wrong with a message, naming the field, or nothing."""
    violations = _VALIDATOR.collect_violations(message, fail_fast=True)
    if not violations:
        return None
    violation = violations[0].proto
    path = ".".join(element.field_name for element in violation.field.elements) if violation.field else ""
    return f"{path or 'the message'}: {violation.message}"


def require_valid(message: Message) -> None:
    """Refuse a message that breaks the contract.

    Raises:
        InvalidArgumentError: It breaks a rule; the sentence names the field.
    """
    problem = first_problem(message)
    if problem:
        raise InvalidArgumentError(problem)
