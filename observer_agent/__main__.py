"""The command bandwatch-agent."""

from pathlib import Path
from typing import Annotated, Optional

import typer
