"""Models and the runs that make them."""

from bandwatch import names
from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import model_pb2
from coordinator.registry.entities import RunState
from coordinator.rpc.admin.desk import Desk, page_of
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.models import model_message
from coordinator.rpc.messages.plans import plan_json
from coordinator.rpc.messages.runs import run_message, run_order
from coordinator.rpc.messages.words import optional_id, optional_word
from coordinator.services.releasing import models
from coordinator.services.training import orders, runs


class ModelsDesk(Desk):
    """Orders training, and lists what came of it."""

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Return a model."""
        async with self._tools.registry.transaction() as session:
            model = await models.get(session, names.models.id(request.name))
        return pb.GetModelResponse(model=model_message(model))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """List models."""
        async with self._tools.registry.transaction() as session:
            page = await models.list_models(
                session,
                page_of(request),
                band_id=optional_id(names.bands, request.band),
                cell_id=optional_id(names.cells, request.cell),
            )
        return pb.ListModelsResponse(
            models=[model_message(model) for model in page.entries], next_page_token=page.next_token
        )

    async def CreateTrainingRun(
        self, request: pb.CreateTrainingRunRequest, context: Context
    ) -> pb.CreateTrainingRunResponse:
        """Order a run, and wake a worker once the order is committed; the scheduler does so again where that fails."""
        async with self._tools.registry.transaction() as session:
            run = await orders.order(
                session,
                run_order(request.run),
                self._tools.rules,
                run_id=request.run_id,
                release_on_success=request.run.release_on_success,
                seed=request.run.seed,
                plan=plan_json(request.run),
                deadline_at=to_moment(request.run.deadline_time) if request.run.HasField("deadline_time") else None,
            )
        if run.published_at is None and await self._tools.broker.announce(names.runs.name(run.id)):
            async with self._tools.registry.transaction() as session:
                await runs.mark_published(session, run.id)
        return pb.CreateTrainingRunResponse(run=run_message(run))

    async def GetTrainingRun(self, request: pb.GetTrainingRunRequest, context: Context) -> pb.GetTrainingRunResponse:
        """Return a run."""
        async with self._tools.registry.transaction() as session:
            run = await runs.get(session, names.runs.id(request.name))
        return pb.GetTrainingRunResponse(run=run_message(run))

    async def ListTrainingRuns(
        self, request: pb.ListTrainingRunsRequest, context: Context
    ) -> pb.ListTrainingRunsResponse:
        """List runs."""
        state = optional_word(RunState, model_pb2.TrainingRunState, request.state)
        async with self._tools.registry.transaction() as session:
            page = await runs.list_runs(session, page_of(request), state=state)
        return pb.ListTrainingRunsResponse(
            runs=[run_message(run) for run in page.entries], next_page_token=page.next_token
        )
