"""The Celery worker: a message holds only a run's name, and the coordinator says whether there is anything to do."""

import os
import threading
from typing import Any, Final

import redis
from celery import Celery, signals

from training_worker.coordinator_client import open_client
from training_worker.deafness import watch
from training_worker.renewal import keep_certificate_good
from training_worker.settings import WorkerSettings
from training_worker.supervision import Supervisor

TRAINING_TASK: Final = "bandwatch.train"
TRAINING_QUEUE: Final = "bandwatch-training"


def make_celery(redis_url: str) -> Celery:
    """Return a Celery application. What Redis or a killed worker loses, the coordinator announces again.

    So a message is acknowledged when it is taken. Acknowledging it late would guard nothing here, and a worker whose
    acknowledgement fails because Redis is away at that moment never asks for a message again. No message is ever put
    back by Redis or by a dying worker either: only the coordinator knows whether a run is still to be done. Celery's
    soft shutdown is off: it waits first and tells us afterwards, while a worker told to stop should give its runs back.
    """
    celery = Celery("bandwatch", broker=redis_url)
    celery.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": 5,
            "socket_timeout": 30,
            "health_check_interval": 10,
            "unacked_restore_interval": 1,
        },
    )
    return celery


def work(settings: WorkerSettings) -> None:
    """Train runs as they are announced, until told to stop."""
    celery = make_celery(settings.redis_url)
    with open_client(settings.identity_folder, settings.data_dir, settings.coordinator) as client:
        supervisor = Supervisor(settings, client)
        threading.Thread(target=keep_certificate_good, args=(client, settings.identity_folder), daemon=True).start()
        broker = redis.Redis.from_url(settings.redis_url, socket_connect_timeout=2, socket_timeout=5)
        # The main thread runs Celery, which cannot end itself when it hears nothing.
        listening = threading.Thread(target=watch, args=(broker, TRAINING_QUEUE, supervisor, os._exit), daemon=True)
        listening.start()

        @celery.task(name=TRAINING_TASK)  # type: ignore[untyped-decorator]  # Celery has no types
        def train(run: str) -> None:
            supervisor.train(run)

        def stop(**_: Any) -> None:
            supervisor.stop()

        signals.worker_shutting_down.connect(stop, weak=False)
        celery.worker_main(
            [
                "worker",
                "--pool=threads",
                f"--concurrency={settings.concurrency}",
                f"--queues={TRAINING_QUEUE}",
                f"--hostname={settings.name}@bandwatch",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "--loglevel=INFO",
            ]
        )
