"""What is deployed by files of YAML is valid, and asks the database what it can answer."""

import shutil
from collections.abc import Iterable
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infra.docker.commands import run
from infra.docker.wheels import PROJECT
from infra.docker.with_engine import compose_command
from tests.docker.stacks import Stack, until_enough_to_train_is_stored

KUBERNETES = PROJECT / "infra/kubernetes"
FOREIGN = {"ScaledObject", "TriggerAuthentication"}
"""Kinds of KEDA, of which the schemas of Kubernetes know nothing."""


@pytest.fixture(params=["base", "overlays/example"])
def resources(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Give what kustomize makes of a folder."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl is installed, which renders with kustomize")
    return list(yaml.safe_load_all(run("kubectl", "kustomize", KUBERNETES / request.param)))


def pods_of(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [resource["spec"]["template"] for resource in resources if "template" in resource.get("spec", {})]


def test_every_resource_fits_the_schema_of_kubernetes(resources: list[dict[str, Any]]) -> None:
    native = [resource for resource in resources if resource["kind"] not in FOREIGN]
    assert len(native) == len(resources) - len(FOREIGN)
    for resource in native:
        kubernetes_validate.validate(resource, "1.32", strict=True)


def test_every_container_is_confined(resources: list[dict[str, Any]]) -> None:
    pods = pods_of(resources)
    assert pods
    for pod in (pod["spec"] for pod in pods):
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


def test_every_selector_finds_a_pod_and_every_mount_a_volume(resources: list[dict[str, Any]]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods_of(resources)]
    for resource in resources:
        spec = resource.get("spec", {})
        if resource["kind"] == "Service":
            assert any(spec["selector"].items() <= of.items() for of in labels)
        elif "podSelector" in spec or resource["kind"] == "PodDisruptionBudget":
            wanted = (spec.get("podSelector") or spec["selector"])["matchLabels"]
            assert any(wanted.items() <= of.items() for of in labels)
    for resource in resources:
        for pod in pods_of([resource]):
            claimed = [claim["metadata"]["name"] for claim in resource["spec"].get("volumeClaimTemplates", [])]
            volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])} | set(claimed)
            containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
            assert {mount["name"] for each in containers for mount in each.get("volumeMounts", [])} <= volumes


def test_compose_accepts_its_file() -> None:
    compose = compose_command()
    if not compose:
        pytest.skip("Compose is not installed; `make test-docker` installs it")
    run(*compose, "--file", PROJECT / "infra/compose.yaml", "--profile", "simulated", "config", "--quiet")


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_query_by_which_workers_are_scaled_counts_open_runs(stack: Stack) -> None:
    scaling = list(yaml.safe_load_all((KUBERNETES / "base/worker-scaling.yaml").read_text()))
    query = scaling[0]["spec"]["triggers"][0]["metadata"]["query"]
    with stack.operator() as client:
        until_enough_to_train_is_stored(client)
        before = int(stack.query(query))
        order = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=50)
        assert int(stack.query(query)) == before + 1
        client.cancel_run(order.name)
        assert int(stack.query(query)) == before
