"""The contract: generated code is current, and every RPC says who may call it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_generated_code_is_what_the_protos_give(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "proto/generate.py", "--output", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    fresh = {path.name: path.read_bytes() for path in (tmp_path / "v1").iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "bandwatch/wire/v1").iterdir() if path.is_file()}
    assert fresh == committed, "run `make proto` and commit what it wrote"


def test_the_protos_keep_the_style_of_the_buf_linter(tmp_path: Path) -> None:
    image = tmp_path / "contract.binpb"
    subprocess.run([sys.executable, "proto/generate.py", "--image", str(image)], cwd=ROOT, check=True)
    result = subprocess.run(
        [Path(sys.executable).with_name("buf"), "lint", image, "--config", "proto/buf.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "proto/bandwatch/v1").glob("*_service.proto")), ids=lambda p: p.stem)
def test_the_comment_of_every_rpc_ends_with_who_may_call_it(path: Path) -> None:
    lines = path.read_text().splitlines()
    rpcs = [number for number, line in enumerate(lines) if re.match(r"\s+rpc ", line)]
    assert rpcs
    assert [lines[n].strip() for n in rpcs if not lines[n - 1].strip().startswith("// May be called by: ")] == []
