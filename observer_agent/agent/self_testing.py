"""Carries out self-tests: each once, while a model judges and nothing unusual goes on."""

from datetime import datetime

import structlog

from observer_agent.detection.pipeline import Pipeline
from observer_agent.detection.self_test import begin
from observer_agent.models.desired import DesiredState
from observer_agent.receivers.blocks import Block, Receiver

_log = structlog.stdlib.get_logger()


class SelfTesting:
    """Remembers which self-tests were carried out since the agent started."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._done: set[str] = set()

    def begin_if_due(self, pipeline: Pipeline, desired: DesiredState, block: Block, now: datetime) -> None:
        """Mix the anomaly of a self-test into the stream from this block on, if one was ordered and has not expired."""
        order = desired.self_test
        if order is None or order.name in self._done or order.expires_at <= now or pipeline.self_test:
            return
        self._done.add(order.name)
        injection = begin(order.name, self._receiver, desired.spectrum, block.first_sample)
        if injection is None:
            _log.error("the receiver cannot show the anomaly of a self-test", self_test=order.name)
            return
        pipeline.inject(injection)
        _log.info("a known anomaly is mixed into the stream", self_test=order.name)
