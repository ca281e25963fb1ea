"""The group of commands `bandwatch-worker evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from training_worker.evaluation.paper.command import paper
from training_worker.evaluation.telling import Teller

if TYPE_CHECKING:
    from training_worker.coordinator_client import TrainingClient
    from training_worker.evaluation.judging import Judge

evaluate = typer.Typer(
    name="evaluate",
    help="Judge models and methods: on frames and recordings, at stated false-alarm rates.\n\n"
    "Recordings are SigMF files, named by their metadata or their samples; several may follow one option, as in "
    "--student cell-a*.sigmf-meta. They are read whole, so some seconds each are best. Tables are Markdown; where the "
    "work is, is told on standard error.",
    no_args_is_help=True,
)


class SeveralAfterOne(TyperCommand):
    """A command in which `--student a b c` stands for `--student a --student b --student c`: the shell fills in names.

    Arguments without an option stand before the options.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments in which an option that may be repeated is."""
        repeatable = {flag for parameter in self.params if parameter.multiple for flag in parameter.opts}
        return super().parse_args(ctx, repeated(args, repeatable))


def repeated(arguments: Sequence[str], repeatable: set[str]) -> list[str]:
    """Return the arguments with each option of `repeatable` said again before its second value, third and so on."""
    told: list[str] = []
    option = ""
    for word in arguments:
        if word.startswith("-") and not word[1:2].isdigit():
            name, has_value, _ = word.partition("=")
            option = name if name in repeatable else ""
            told.append(word)
            awaited = option and not has_value
        elif option and not awaited:
            told += [option, word]
        else:
            told.append(word)
            awaited = ""
    return told


evaluate.command("paper", cls=SeveralAfterOne)(paper)

Recordings = Annotated[list[Path], typer.Option("--recording", help="SigMF recordings to judge on.")]
Teachers = Annotated[list[Path], typer.Option("--teacher", help="SigMF recordings that the teacher is fitted to.")]
LocalSeconds = Annotated[
    float, typer.Option(min=0.2, help="Seconds at the beginning of a recording that its student is fitted on.")
]
TeacherEpochs = Annotated[int, typer.Option(min=1, help="Most epochs of the teacher.")]
Seed = Annotated[int, typer.Option(min=0, help="Deals blocks of time to folds, orders windows, makes first weights.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")]


@evaluate.command("frames")
def judge_frames(
    frames: Annotated[
        list[Path], typer.Argument(help="Files of contiguous frames: 128 half-dB codes each, one byte a code.")
    ],
    model: Annotated[list[str], typer.Option(help="Published model to apply, as models/NAME. May be repeated.")],
    stride_frames: Annotated[int, typer.Option(min=1, help="Frames between the starts of windows.")] = 25,
) -> None:
    """Print as JSON what error published models make on frames, such as those an agent wrote with --inspect.

    Example: bandwatch-worker evaluate frames seen/frames.u8 --model models/oak-street-2
    """
    from training_worker.evaluation import released  # noqa: PLC0415 - other commands start faster

    segments = [released.read_frames(path) for path in frames]
    found = {}
    with _coordinator() as client:
        for name in model:
            loaded = released.load_released(client.content(name), client.blob)
            found[name] = released.errors_of(loaded, segments, stride_frames).model_dump()
    typer.echo(json.dumps(found))


@evaluate.command("model", cls=SeveralAfterOne)
def judge_model(
    model: Annotated[
        str,
        typer.Argument(
            help="models/NAME, fetched from the coordinator; or the file of a manifest; or an agent's active.json."
        ),
    ],
    recording: Recordings,
    blobs: Annotated[
        Path | None, typer.Option(help="Folder of the blobs of a manifest in a file; the folder blobs beside it.")
    ] = None,
    stride_frames: Annotated[
        int, typer.Option(min=1, help="Frames between the starts of windows; an agent takes 25.")
    ] = 25,
    json_file: JsonFile = None,
) -> None:
    """Show the errors and false alarms of a released model on recordings in which nothing unusual happens.

    A model's thresholds were made for stated false-alarm rates; this is how many windows really exceed them. A cell
    that the model was not made for shows as many.

    Example: bandwatch-worker evaluate model data/models/active.json --recording oak.sigmf-meta
    """
    from training_worker.evaluation import recordings, released  # noqa: PLC0415 - the same

    _check_place(json_file)
    heard = recordings.read_recordings(recording)
    told, judge = _model(model, blobs)
    found = [released.realised_rates(judge, one, stride_frames) for one in heard]
    typer.echo(f"{told['model']} ({told['family']}). False-alarm rates of its thresholds:\n")
    typer.echo(released.table(found))
    _write(json_file, told | {"recordings": [one.plain() for one in found]})


def _model(model: str, blobs: Path | None) -> tuple[dict[str, str], "Judge"]:
    """Return a model that a file or the coordinator names, and what to tell of it."""
    from training_worker.evaluation import manifests, released  # noqa: PLC0415 - the same

    if Path(model).is_file():
        kept = manifests.read_kept(Path(model), blobs)
        content = kept.manifest.content
        told = {"model": kept.manifest.model, "family": content.family}
        return told, released.load_released(content, kept.read_blob)
    if not model.startswith("models/") or blobs:
        raise InvalidArgumentError(f"there is no file {model}: name a manifest, or models/NAME without --blobs")
    with _coordinator() as client:
        content = client.content(model)
        return {"model": model, "family": content.family}, released.load_released(content, client.blob)


@evaluate.command("transfer", cls=SeveralAfterOne)
def judge_transfer(
    teacher: Teachers,
    student: Annotated[list[Path], typer.Option(help="SigMF recordings of the new cell; each is judged by itself.")],
    local_seconds: LocalSeconds = 0.5,
    frozen_layers: Annotated[
        int, typer.Option(help="LSTM layers that keep the teacher's weights; with fewer than 2 Adam follows.")
    ] = 2,
    teacher_epochs: TeacherEpochs = 20,
    self_epochs: Annotated[int, typer.Option(min=1, help="Most epochs of the network from scratch.")] = 150,
    sgd_epochs: Annotated[int, typer.Option(min=1, help="Most epochs of Adam from the teacher's weights.")] = 100,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Families of exact students to choose from: lstm-predictor, linear, hybrid; all by default."),
    ] = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Compare ways to a student: the unadapted teacher, a network of its own, Adam, and the exact solution.

    A teacher (LSTM, 2 layers of 64) is fitted to the teacher's recordings. Of each student recording the first seconds
    make students, and the rest judges them: `cross` is the teacher as it is, `self` an LSTM from scratch on the same
    local data, `exact` the student whose dense layer is solved, of the family with the lowest error on left-out blocks,
    and `sgd` the same network with that layer fitted by Adam. One to two minutes for each recording on one core.

    Example: bandwatch-worker evaluate transfer --teacher lte/cell-a*.sigmf-meta --student lte/cell-b.sigmf-meta
    """
    from training_worker.evaluation import recordings, transfer, transfer_table  # noqa: PLC0415 - the same

    _check_place(json_file)
    given = transfer.TransferOptions(local_seconds, frozen_layers, teacher_epochs, self_epochs, sgd_epochs, seed=seed)
    options = replace(given, families=tuple(family)) if family else given
    heard = recordings.read_recordings(teacher), recordings.read_recordings(student)
    found = list(transfer.compare(*heard, options, _say()))
    typer.echo(transfer_table.tables(found))
    _write(json_file, [one.plain() for one in found])


@evaluate.command("detection", cls=SeveralAfterOne)
def judge_detection(
    teacher: Teachers,
    recording: Recordings,
    anomaly: Annotated[list[str], typer.Option(help="Kinds of anomalies, such as qpsk-200khz, down-33 or power-3db.")],
    sir: Annotated[
        list[float],
        typer.Option(help="Power of the cell over that of interference, in dB: 10 is 10 dB below the cell."),
    ],
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="Families of students: lstm-predictor, linear, hybrid, or auto for what a run would publish."
        ),
    ] = None,
    local_seconds: LocalSeconds = 0.5,
    offset_hz: Annotated[float, typer.Option(help="How far above the centre interference lies.")] = 50e3,
    teacher_epochs: TeacherEpochs = 20,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Show how much of each anomaly every method detects in real recordings, at equal false-alarm rates.

    Of each recording the first seconds make students and fit simple methods; anomalies are mixed into the samples of
    the rest, which is also judged as it is, for false alarms. Frequencies that go down leave a floor 30 dB below the
    cell, and steps of power have their own size, so --sir says nothing of these.

    Example: bandwatch-worker evaluate detection --teacher a.sigmf-meta --recording b.sigmf-meta --anomaly qpsk-200khz
    ofdm-1mhz --sir 10 20
    """
    if find_spec("sklearn") is None:
        raise FailedPreconditionError("this needs scikit-learn: install it with pip install 'bandwatch[evaluation]'")
    from training_worker.evaluation import detection, detection_table, recordings  # noqa: PLC0415 - the same

    _check_place(json_file)
    options = detection.DetectionOptions(
        kinds=tuple(anomaly),
        sirs_db=tuple(sir),
        local_s=local_seconds,
        families=tuple(family or detection.DEFAULT_FAMILIES),
        offset_hz=offset_hz,
        teacher_epochs=teacher_epochs,
        seed=seed,
    )
    heard = recordings.read_recordings(teacher), recordings.read_recordings(recording)
    found = list(detection.detect(*heard, options, _say()))
    typer.echo(detection_table.tables(found))
    _write(json_file, detection_table.plain(found))


@evaluate.command("roc")
def draw_roc(
    detections: Annotated[list[Path], typer.Argument(help="Files that `evaluate detection --json` wrote.")],
    sir: Annotated[
        list[float] | None, typer.Option(help="Only interference of this power, in dB as for `detection`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="SVG file to draw the curves into.")] = None,
) -> None:
    """Print the areas under the curves of every method and score, and draw the curves.

    Each is a mean over all recordings in the files.

    Example: bandwatch-worker evaluate roc one-cell.json another-cell.json --out roc.svg
    """
    if find_spec("matplotlib") is None:
        raise FailedPreconditionError("this needs matplotlib: install it with pip install 'bandwatch[evaluation]'")
    from training_worker.evaluation import roc  # noqa: PLC0415 - the same

    _check_place(out)
    found = roc.read_detections(detections, sir)
    typer.echo(roc.areas(found))
    if out is not None:
        out.write_text(roc.drawn(found))


def _say() -> Teller:
    return Teller(lambda text: typer.echo(text, err=True))


def _coordinator() -> "TrainingClient":
    """Return the connection that the settings in the environment describe."""
    from training_worker.coordinator_client import open_client  # noqa: PLC0415 - the same
    from training_worker.settings import WorkerSettings  # noqa: PLC0415 - the same

    given = WorkerSettings()
    return open_client(given.identity_folder, given.data_dir, given.coordinator)


def _check_place(path: Path | None) -> None:
    """See before long work that its figures have a folder to go to."""
    if path is not None and not path.parent.is_dir():
        raise InvalidArgumentError(f"there is no folder {path.parent} to write {path.name} to")


def _write(path: Path | None, found: Any) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be written: {error.strerror}") from error
