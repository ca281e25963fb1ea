"""Statistics of observers, from messages."""

from bandwatch import names
from bandwatch.wire.convert import to_moment, to_span
from bandwatch.wire.v1 import statistics_pb2
from coordinator.services.fleet.statistics import NewScores, NewStatistics


def new_statistics(message: statistics_pb2.Statistics, observer_id: str) -> NewStatistics:
    """Return a span as the service takes it."""
    radio, comparison = message.radio, message.comparison
    compared = message.HasField("comparison")
    return NewStatistics(
        observer_id=observer_id,
        boot_id=message.origin.boot_id,
        sequence=message.origin.sequence,
        cell_id=names.cells.id(message.cell),
        start_at=to_moment(message.start_time),
        duration=to_span(message.duration),
        frames=radio.frames,
        power_dbm=radio.power_dbm,
        noise_floor_dbm=radio.noise_floor_dbm,
        clipped_share=radio.clipped_share,
        lost_samples=radio.lost_samples,
        noise_only_share=radio.noise_only_share,
        scores=[_new_scores(scores) for scores in message.scores],
        compared_active_serial=comparison.active_serial if compared else None,
        compared_shadow_serial=comparison.shadow_serial if compared else None,
        compared_windows=comparison.windows,
        difference_sum_db=comparison.difference_sum_db,
        difference_square_sum_db2=comparison.difference_square_sum_db2,
    )


def _new_scores(message: statistics_pb2.ScoreStatistics) -> NewScores:
    return NewScores(
        serial=message.serial,
        shadow=message.shadow,
        windows=message.windows,
        anomalous_windows=message.anomalous_windows,
        unscored_windows=message.unscored_windows,
        error_sum_db=message.error_sum_db,
        error_square_sum_db2=message.error_square_sum_db2,
        false_alarm_rate=message.false_alarm_rate,
        scoring_duration=to_span(message.scoring_duration),
    )
