"""Scores of the residual's spectrum, against the textbook and against what they are for."""

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from bandwatch.spectrogram import scoring
from training_worker.learning import networks
from training_worker.learning.networks import Predictor
from training_worker.learning.scores import (
    BAND_WIDTHS,
    SHRINKAGES,
    Scorer,
    ScoreStatistics,
    band_indicators,
    choose_shrinkage,
    fit_statistics,
    no_statistics,
    shrunk_covariance,
)

Floats = npt.NDArray[np.float64]
RADIO_BEARER_HZ = 200e3
BIN_HZ = 5e6 / 128


def correlated() -> Floats:
    """Return a covariance [128, 128] in dB^2: neighbours, and all bins a little, rise and fall together."""
    distance = np.abs(np.subtract.outer(np.arange(128), np.arange(128)))
    return 0.4**2 * 0.8**distance + 0.3**2


def normal_spectra(count: int, seed: int) -> Floats:
    """Return mean residual spectra [count, 128] in dB."""
    center = np.linspace(-0.5, 0.5, 128)
    return np.random.default_rng(seed).multivariate_normal(center, correlated(), count, method="eigh")


@pytest.fixture(scope="module")
def spectra() -> Floats:
    return normal_spectra(3000, seed=1)


@pytest.fixture(scope="module")
def statistics(spectra: Floats) -> ScoreStatistics:
    """Give the statistics that do not shrink."""
    return fit_statistics(spectra, shrinkage=0.0)


def test_bands_cover_the_spectrum_at_every_width_and_overlap_by_half() -> None:
    bands = band_indicators()
    assert bands.shape == (375, 128)
    assert set(bands.sum(1)) == set(BAND_WIDTHS)
    for width in BAND_WIDTHS:
        of_width = bands[bands.sum(1) == width]
        starts = of_width.argmax(1)
        assert of_width.any(0).all()
        assert (np.diff(starts) == max(1, width // 2)).all()
        assert (np.diff(np.flatnonzero(of_width[0])) == 1).all()


def test_band_residuals_of_normal_data_have_deviation_one(spectra: Floats, statistics: ScoreStatistics) -> None:
    _, bands = statistics.apply(spectra)
    np.testing.assert_allclose(bands.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(bands.std(0), 1, atol=1e-9)


def test_band_residuals_of_later_data_have_deviation_one_when_the_covariance_is_known_well(
    statistics: ScoreStatistics,
) -> None:
    _, bands = statistics.apply(normal_spectra(3000, seed=2))
    assert bands.std(0).mean() == pytest.approx(1, abs=0.05)


def test_whitened_residuals_of_normal_data_have_the_identity_as_covariance(
    spectra: Floats, statistics: ScoreStatistics
) -> None:
    white = (spectra - statistics.center) @ statistics.whitener
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(128), atol=1e-9)


def test_a_band_residual_is_the_generalised_likelihood_ratio_of_a_rise_in_that_band(
    spectra: Floats, statistics: ScoreStatistics
) -> None:
    """The rise s u is estimated by maximum likelihood, and the likelihoods with and without it are compared."""
    covariance = np.cov(spectra.T, bias=True)
    residual = spectra[17] - spectra.mean(0)
    _, bands = statistics.apply(spectra[17:18])
    for found, band in zip(bands[0][::23], band_indicators()[::23], strict=True):
        solved = np.linalg.solve(covariance, band)
        rise = solved @ residual / (solved @ band)
        with_rise = residual - rise * band
        ratio = residual @ np.linalg.solve(covariance, residual) - with_rise @ np.linalg.solve(covariance, with_rise)
        assert found == pytest.approx(np.sign(rise) * np.sqrt(ratio), rel=1e-6)


def test_the_whitened_score_is_the_mahalanobis_distance_per_bin(spectra: Floats, statistics: ScoreStatistics) -> None:
    whitened, _ = statistics.apply(spectra[:5])
    precision = np.linalg.inv(np.cov(spectra.T, bias=True))
    expected = [mahalanobis(spectrum, spectra.mean(0), precision) / np.sqrt(128) for spectrum in spectra[:5]]
    np.testing.assert_allclose(whitened, expected, rtol=1e-6)


def test_no_linear_score_separates_a_rise_in_a_band_better(statistics: ScoreStatistics) -> None:
    bands = band_indicators()
    at = 200
    mean_shift = abs(bands[at] @ statistics.bands[at])
    random = np.random.default_rng(3)
    covariance = correlated()
    for weights in (bands[at], *random.normal(size=(200, 128))):
        shift = abs(bands[at] @ weights) / np.sqrt(weights @ covariance @ weights)
        assert shift <= mean_shift * 1.1  # the statistics know the covariance from 3000 spectra


def test_shrinking_keeps_the_deviation_of_every_bin_and_lessens_what_bins_share(spectra: Floats) -> None:
    centered = spectra - spectra.mean(0)
    plain, shrunk = shrunk_covariance(centered, 0.0), shrunk_covariance(centered, 0.3)
    np.testing.assert_allclose(np.diag(shrunk), np.diag(plain))
    off = ~np.eye(128, dtype=bool)
    np.testing.assert_allclose(shrunk[off], 0.7 * plain[off])


def folds_of(count: int) -> npt.NDArray[np.intp]:
    return np.arange(count) * 5 // count


@pytest.mark.parametrize("count", [100, 200, 1500])
def test_the_chosen_shrinkage_is_better_on_unseen_spectra_than_both_extremes(count: int) -> None:
    fitted, unseen = normal_spectra(count, seed=4), normal_spectra(500, seed=5)

    def likelihood(shrinkage: float) -> float:
        centered = unseen - fitted.mean(0)
        covariance = shrunk_covariance(fitted - fitted.mean(0), shrinkage)
        distances = np.einsum("ni,in->n", centered, np.linalg.solve(covariance, centered.T))
        return float(-distances.mean() - np.linalg.slogdet(covariance)[1])

    chosen = choose_shrinkage(fitted, folds_of(count))
    assert likelihood(chosen) >= max(likelihood(0.002), likelihood(1.0))
    assert likelihood(chosen) >= max(map(likelihood, SHRINKAGES)) - 1


def test_fewer_spectra_are_shrunk_more() -> None:
    chosen = [choose_shrinkage(normal_spectra(count, seed=6), folds_of(count)) for count in (60, 300, 3000)]
    assert all(fewer > more for fewer, more in itertools.pairwise(chosen))


def test_spectra_that_cannot_be_left_out_are_shrunk_most() -> None:
    assert choose_shrinkage(normal_spectra(40, seed=7), np.zeros(40, np.intp)) == SHRINKAGES[-1]


@pytest.mark.parametrize("spectra", [np.zeros((1, 128)), np.zeros((30, 128)), np.eye(128)[:3] * 50])
def test_spectra_that_never_change_give_finite_scores(spectra: Floats) -> None:
    for shrinkage in SHRINKAGES:
        whitened, bands = fit_statistics(spectra, shrinkage).apply(normal_spectra(5, seed=8))
        assert np.isfinite(whitened).all()
        assert np.isfinite(bands).all()


def test_without_statistics_a_band_residual_is_the_sum_over_the_band_over_the_root_of_its_width() -> None:
    spectra = normal_spectra(3, seed=9)
    whitened, bands = no_statistics().apply(spectra)
    np.testing.assert_allclose(whitened, np.sqrt(np.mean(spectra**2, axis=1)))
    for row, band in zip(bands.T, band_indicators().astype(bool), strict=True):
        np.testing.assert_allclose(row, spectra[:, band].sum(1) / np.sqrt(band.sum()))


def test_a_narrow_rise_that_the_error_cannot_see_is_found_by_its_band() -> None:
    """200 kHz are five bins of a 5 MHz cell; they rise by 1.6 dB, and all fluctuate by 3 dB from frame to frame.

    The root mean square of 3200 values changes by a fraction of its own fluctuation.
    """
    bins = slice(60, 60 + round(RADIO_BEARER_HZ / BIN_HZ))
    assert bins.stop - bins.start == 5
    random = np.random.default_rng(10)

    def windows(count: int, rise_db: float) -> tuple[Floats, Floats]:
        frames = random.normal(0, 3, (count, 25, 128)) + random.normal(0, 0.3, (count, 1, 1))
        frames[:, :, bins] += rise_db
        return np.sqrt(np.mean(frames**2, axis=(1, 2))), frames.mean(1)

    def share_above(normal: Floats, risen: Floats) -> float:
        return float(np.mean(risen > np.quantile(normal, 0.99)))

    fitted = fit_statistics(windows(3000, 0.0)[1], shrinkage=0.02)
    (normal_db, normal), (risen_db, risen) = windows(1000, 0.0), windows(1000, 1.6)
    by_band = [np.abs(fitted.apply(spectra)[1]).max(1) for spectra in (normal, risen)]
    assert share_above(normal_db, risen_db) < 0.1
    assert share_above(by_band[0], by_band[1]) > 0.8
    assert np.bincount(np.abs(fitted.apply(risen)[1]).argmax(1)).argmax() in np.flatnonzero(
        band_indicators()[:, bins].sum(1) >= 3
    )


@pytest.fixture
def scored(make_predictor: Callable[[str], Predictor]) -> tuple[Scorer, Predictor, ScoreStatistics]:
    predictor = make_predictor(networks.LSTM)
    statistics = fit_statistics(normal_spectra(300, seed=11), shrinkage=0.1)
    return Scorer(predictor, statistics), predictor, statistics


def test_the_scorer_agrees_with_the_scoring_that_every_program_shares(
    scored: tuple[Scorer, Predictor, ScoreStatistics],
) -> None:
    scorer, predictor, statistics = scored
    codes = np.random.default_rng(1).integers(0, 256, (3, 125, 128), dtype=np.uint8)
    standardised, mean, deviation = scoring.standardise(codes)
    with torch.inference_mode():
        error_db, predicted, whitened, bands = (out.numpy() for out in scorer(torch.from_numpy(codes)))
        next_frames = predictor(torch.from_numpy(standardised[:, :100])).numpy()
    expected = next_frames * deviation[:, None, None] + mean[:, None, None]
    np.testing.assert_allclose(predicted, expected, atol=1e-3)
    np.testing.assert_allclose(error_db, scoring.error_db(codes[:, 100:], expected), atol=1e-4)
    residual_db = 0.5 * (codes[:, 100:].astype(np.float64) - predicted).mean(1)
    expected_whitened, expected_bands = statistics.apply(residual_db)
    np.testing.assert_allclose(whitened, expected_whitened, rtol=1e-4)
    np.testing.assert_allclose(bands, expected_bands, atol=1e-4 * np.abs(expected_bands).max())


def test_a_constant_window_is_standardised_by_the_smallest_deviation(
    scored: tuple[Scorer, Predictor, ScoreStatistics],
) -> None:
    scorer, predictor, _ = scored
    codes = np.full((1, 125, 128), 80, dtype=np.uint8)
    codes[:, 100:] = 82
    with torch.inference_mode():
        error_db, predicted, *_ = scorer(torch.from_numpy(codes))
        silence = predictor(torch.zeros(1, 100, 128))
    np.testing.assert_allclose(predicted.numpy(), 80 + silence.numpy(), atol=1e-4)
    np.testing.assert_allclose(error_db.numpy(), 0.5 * np.sqrt(np.mean((silence.numpy() - 2) ** 2)), atol=1e-4)


def test_a_prediction_does_not_see_the_frames_that_it_predicts(
    scored: tuple[Scorer, Predictor, ScoreStatistics],
) -> None:
    codes = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (1, 125, 128), dtype=np.uint8))
    other = codes.clone()
    other[:, 100:] = 0
    with torch.inference_mode():
        assert torch.equal(scored[0](codes)[1], scored[0](other)[1])


def test_a_rise_of_the_measured_level_is_a_positive_band_residual(
    scored: tuple[Scorer, Predictor, ScoreStatistics],
) -> None:
    codes = np.random.default_rng(3).integers(95, 105, (1, 125, 128), dtype=np.uint8)
    risen = codes.copy()
    risen[:, 100:, 40:44] += 40
    band = np.flatnonzero((band_indicators()[:, 40:44].sum(1) == 4) & (band_indicators().sum(1) == 4))[0]
    with torch.inference_mode():
        before, after = (scored[0](torch.from_numpy(window))[3][0, band] for window in (codes, risen))
    assert after > before + 10
