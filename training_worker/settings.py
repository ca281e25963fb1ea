"""Every setting of a training worker, read once from the environment: BANDWATCH_WORKER_..."""

import os
import socket
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ENVIRONMENT_PREFIX: Final = "BANDWATCH_WORKER_"


class WorkerSettings(BaseSettings):
    """Where a worker finds its coordinator and broker, and what it may use."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    coordinator: str | None = Field(
        None, description="HOST:PORT where members are served, if it is another one than at enrolment."
    )
    identity_dir: Path | None = Field(
        None, description="Folder of what `enroll` made; identity in the worker's folder when absent."
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis that announces runs.")
    data_dir: Path = Field(
        Path("bandwatch-data/worker"), description="Folder of checkpoints and of segments already fetched."
    )
    name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="What this process is called at the broker; host name and process by default.",
    )
    concurrency: Annotated[int, Field(ge=1, le=64, description="Runs at the same time.")] = 1
    threads: Annotated[int, Field(ge=0, description="Threads of one run; 0 takes every processor.")] = 0

    @property
    def identity_folder(self) -> Path:
        """Folder of the worker's identity."""
        return self.identity_dir or self.data_dir / "identity"
