"""Generates bandwatch/wire/v1 from proto/: `make proto`, or `python proto/generate.py --output DIRECTORY`.

The rules of buf.validate come as a compiled descriptor inside protovalidate, so no third-party schema is kept here.
"""

import argparse
import re
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb  # the only public home of the rules' descriptor on PyPI

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "bandwatch" / "wire"
SOURCES = sorted(path.relative_to(HERE).as_posix() for path in HERE.glob("bandwatch/v1/*.proto"))
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
"""Programs of this environment, which need not be on the path."""
RULES = "buf/validate/validate.proto"


def write_rules(path: Path) -> None:
    """Write the FileDescriptorSet of buf.validate and all that it imports."""
    rules = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    descriptors = descriptor_pb2.FileDescriptorSet(file=[rules])
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        descriptors.file.append(descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
    path.write_bytes(descriptors.SerializeToString(deterministic=True))


def compile_protos(*arguments: str) -> None:
    """Run protoc over the contract; raise SystemExit when it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch, "rules.binpb")
        write_rules(rules)
        include = str(files("grpc_tools") / "_proto")
        if protoc.main(["protoc", f"-I{HERE}", f"-I{include}", f"--descriptor_set_in={rules}", *arguments]):
            sys.exit("protoc failed; its messages are above")


def relocate(text: str) -> str:
    """Point generated imports at bandwatch.wire, where the code lives."""
    text = re.sub(r"\bfrom bandwatch\.v1 import", "from bandwatch.wire.v1 import", text)
    text = re.sub(r"\bimport bandwatch\.v1\b", "import bandwatch.wire.v1", text)
    text = re.sub(r"(?<![\w.'\"/])bandwatch\.v1\.", "bandwatch.wire.v1.", text)
    text = re.sub(r"\bfrom buf\.validate import", "from bandwatch.wire.v1 import", text)
    return re.sub(r"(?<![\w.'\"/])buf\.validate\b", "bandwatch.wire.v1", text)


def generate(output: Path) -> None:
    """Write the Python modules and stubs of the contract into output/v1."""
    with tempfile.TemporaryDirectory() as scratch:
        compile_protos(f"--python_out={scratch}", f"--pyi_out={scratch}", RULES)
        compile_protos(
            f"--python_out={scratch}",
            f"--grpc_python_out={scratch}",
            *(f"--plugin={plugin}={Path(sysconfig.get_path('scripts'), plugin)}" for plugin in PLUGINS),
            f"--mypy_out={scratch}",
            f"--mypy_grpc_out={scratch}",
            *SOURCES,
        )
        target = output / "v1"
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(Path(scratch).rglob("*.py*")):
            service = path.stem.removesuffix("_grpc").removesuffix("_pb2").endswith("_service")
            if "_grpc" in path.name and not service:
                continue
            (target / path.name).write_text(relocate(path.read_text()))
    (target / "__init__.py").write_text('"""Generated from proto/bandwatch/v1 by proto/generate.py: never edited."""\n')


def describe(path: Path) -> None:
    """Write the contract as one descriptor image, which `buf lint` reads without a network."""
    compile_protos("--include_imports", "--include_source_info", f"--descriptor_set_out={path}", *SOURCES)


def main() -> None:
    """Generate the code, or with --image write the descriptor image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder that gets v1/ (default: bandwatch/wire)")
    parser.add_argument("--image", type=Path, help="write only the descriptor image for buf to this file")
    arguments = parser.parse_args()
    if arguments.image:
        describe(arguments.image)
    else:
        generate(arguments.output)


if __name__ == "__main__":
    main()
