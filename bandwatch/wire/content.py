"""Model content as a message and back: the same fields under the same names on both sides."""

from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import ValidationError

from bandwatch.artifacts.manifest import ModelContent
from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.v1 import model_pb2


def content_to_message(content: ModelContent) -> model_pb2.ModelContent:
    """Return model content as a message."""
    return ParseDict(content.model_dump(mode="json", exclude_none=True), model_pb2.ModelContent())


def content_from_message(message: model_pb2.ModelContent) -> ModelContent:
    """Read model content.

    Raises:
        InvalidArgumentError: A part is missing or out of range.
    """
    plain = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    try:
        return ModelContent.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidArgumentError(f"model content: {where}: {first['msg']}") from error
