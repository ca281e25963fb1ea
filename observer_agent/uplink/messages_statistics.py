"""Statistics as messages."""

from collections.abc import Sequence
from datetime import timedelta

from bandwatch.wire import convert
from bandwatch.wire.v1 import statistics_pb2 as pb
from observer_agent.spool.records import ComparisonRecord, HeldStatistics, ScoreRecord
from observer_agent.uplink.messages import origin_message


def statistics_request(held: Sequence[HeldStatistics]) -> pb.ReportStatisticsRequest:
    """Return spans as the message that reports them."""
    return pb.ReportStatisticsRequest(statistics=[_statistics(one) for one in held])


def _statistics(held: HeldStatistics) -> pb.Statistics:
    record = held.record
    return pb.Statistics(
        origin=origin_message(held.origin),
        cell=record.cell,
        start_time=convert.to_timestamp(record.start_at),
        duration=convert.to_duration_message(timedelta(seconds=record.duration_s)),
        radio=pb.RadioStatistics(
            frames=record.frames,
            power_dbm=record.power_dbm,
            noise_floor_dbm=record.noise_floor_dbm,
            clipped_share=record.clipped_share,
            lost_samples=record.lost_samples,
            noise_only_share=record.noise_only_share,
        ),
        scores=[_scores(scores) for scores in record.scores],
        comparison=_comparison(record.comparison) if record.comparison else None,
    )


def _scores(record: ScoreRecord) -> pb.ScoreStatistics:
    return pb.ScoreStatistics(
        serial=record.serial,
        shadow=record.shadow,
        windows=record.windows,
        anomalous_windows=record.anomalous_windows,
        unscored_windows=record.unscored_windows,
        error_sum_db=record.error_sum_db,
        error_square_sum_db2=record.error_square_sum_db2,
        false_alarm_rate=record.false_alarm_rate,
        scoring_duration=convert.to_duration_message(timedelta(seconds=record.scoring_s)),
    )


def _comparison(record: ComparisonRecord) -> pb.ShadowComparison:
    return pb.ShadowComparison(
        active_serial=record.active_serial,
        shadow_serial=record.shadow_serial,
        windows=record.windows,
        difference_sum_db=record.difference_sum_db,
        difference_square_sum_db2=record.difference_square_sum_db2,
    )
