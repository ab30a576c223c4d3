"""Metrics against closed forms (two Gaussians), scikit-learn and small cases done by hand."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcid.errors import InvalidArray, RateUnsupported, UsageError
from arcid.evaluate import bootstrap, differences, intervals, metrics
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.pairs import PairScores, people_of_pairs

NORMAL = NormalDist()
GAP = 2.5  # genuine ~ N(GAP, 1), impostor ~ N(0, 1)


def gaussians(n: int = 400_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Exact quantiles instead of draws: the empirical curve is the true one up to 1/n."""
    p = (np.arange(n) + 0.5) / n
    z = np.array([NORMAL.inv_cdf(v) for v in p[:: max(1, n // 20_000)]])
    return z + GAP, z


class TestClosedForms:
    genuine, impostor = gaussians()

    def test_auc(self):
        expected = NORMAL.cdf(GAP / math.sqrt(2))
        assert metrics.auc(self.genuine, self.impostor) == pytest.approx(expected, abs=1e-4)

    def test_eer_and_its_threshold(self):
        rate, threshold = metrics.eer(self.genuine, self.impostor)
        assert rate == pytest.approx(NORMAL.cdf(-GAP / 2), abs=1e-4)
        assert threshold == pytest.approx(GAP / 2, abs=1e-3)

    def test_d_prime(self):
        assert metrics.d_prime(self.genuine, self.impostor) == pytest.approx(GAP, abs=2e-3)

    @pytest.mark.parametrize("convention", ["conservative", "interpolated", "nearest"])
    @pytest.mark.parametrize("rate", [1e-1, 1e-2, 1e-3])
    def test_tar_at_fmr(self, rate, convention):
        expected = NORMAL.cdf(GAP - NORMAL.inv_cdf(1 - rate))
        found = metrics.tar_at_fmr(self.genuine, self.impostor, rate, convention=convention)
        assert found == pytest.approx(expected, abs=5e-3)

    def test_best_accuracy(self):
        scores = np.concatenate([self.genuine, self.impostor])
        same = np.arange(len(scores)) < len(self.genuine)
        accuracy, threshold = metrics.best_accuracy(scores, same)
        assert accuracy == pytest.approx(NORMAL.cdf(GAP / 2), abs=1e-4)
        assert threshold == pytest.approx(GAP / 2, abs=0.05)

    def test_fmr_and_fnmr_curves(self):
        t = np.array([-1.0, 0.0, 1.0, 2.0])
        expected_fmr = [1 - NORMAL.cdf(v) for v in t]
        np.testing.assert_allclose(metrics.fmr(self.impostor, t), expected_fmr, atol=1e-4)
        expected_fnmr = [NORMAL.cdf(v - GAP) for v in t]
        np.testing.assert_allclose(metrics.fnmr(self.genuine, t), expected_fnmr, atol=1e-4)


class TestAgainstScikitLearn:
    draws = (  # rounded: plenty of ties
        np.round(np.random.default_rng(5).normal(0.6, 0.2, 700), 2),
        np.round(np.random.default_rng(6).normal(0.1, 0.2, 5000), 2),
    )

    def test_auc_with_ties(self):
        sk = pytest.importorskip("sklearn.metrics")
        labels = np.r_[np.ones(700), np.zeros(5000)]
        expected = sk.roc_auc_score(labels, np.concatenate(self.draws))
        assert metrics.auc(*self.draws) == pytest.approx(expected, abs=1e-12)

    def test_roc(self):
        sk = pytest.importorskip("sklearn.metrics")
        labels = np.r_[np.ones(700), np.zeros(5000)]
        fpr, tpr, t = sk.roc_curve(labels, np.concatenate(self.draws), drop_intermediate=False)
        ours = metrics.roc(*self.draws)
        np.testing.assert_allclose(ours.fmr, fpr, atol=1e-12)
        np.testing.assert_allclose(ours.tar, tpr, atol=1e-12)
        np.testing.assert_array_equal(ours.thresholds, t)

    def test_nearest_convention_is_the_published_table_lookup(self):
        sk = pytest.importorskip("sklearn.metrics")
        labels = np.r_[np.ones(700), np.zeros(5000)]
        fpr, tpr, _ = sk.roc_curve(labels, np.concatenate(self.draws))
        fpr, tpr = fpr[::-1], tpr[::-1]
        for rate in (1e-3, 3e-3, 1e-2, 0.1, 0.3):
            expected = tpr[min((abs(f - rate), i) for i, f in enumerate(fpr))[1]]
            found = metrics.tar_at_fmr(*self.draws, rate, convention="nearest")
            assert found == pytest.approx(expected, abs=1e-12)

    def test_stump_splits_where_a_decision_tree_does(self):
        tree = pytest.importorskip("sklearn.tree")
        rng = np.random.default_rng(3)
        x = np.concatenate([rng.normal(0.4, 0.15, 38), rng.normal(0.8, 0.15, 262)])
        y = np.arange(300) < 38
        fitted = tree.DecisionTreeClassifier(criterion="entropy", max_depth=1).fit(x[:, None], y)
        found = metrics.information_gain_stump(x, y)
        assert found.threshold == pytest.approx(fitted.tree_.threshold[0], abs=1e-6)


class TestTies:
    def test_target_rate_is_never_exceeded(self):
        impostor = np.array([0.1] * 95 + [0.5] * 5)
        t = metrics.threshold_at_fmr(impostor, 0.04)
        assert t > 0.5 and (impostor >= t).mean() == 0.0
        t = metrics.threshold_at_fmr(impostor, 0.05)
        assert 0.1 < t <= 0.5 and (impostor >= t).mean() == 0.05

    @given(
        st.lists(st.integers(0, 12), min_size=1, max_size=60),
        st.floats(0.01, 0.99),
    )
    @settings(max_examples=200, deadline=None)
    def test_conservative_threshold_is_the_lowest_that_keeps_the_rate(self, values, rate):
        impostor = np.array(values, float)
        t = metrics.threshold_at_fmr(impostor, rate)
        assert (impostor >= t).mean() <= rate + 1e-9
        lower = impostor[impostor < t]
        if len(lower):
            assert (impostor >= lower.max()).mean() > rate - 1e-9

    def test_roc_gives_equal_scores_one_point(self):
        curve = metrics.roc([0.5, 0.5, 0.9], [0.5, 0.1])
        np.testing.assert_array_equal(curve.fmr, [0, 0, 0.5, 1])
        np.testing.assert_allclose(curve.tar, [0, 1 / 3, 1, 1])

    def test_perfect_separation(self):
        assert metrics.auc([0.8, 0.9], [0.1, 0.2]) == 1.0
        assert metrics.eer([0.8, 0.9], [0.1, 0.2])[0] == 0.0
        assert metrics.auc([0.5], [0.5]) == 0.5


class TestFailedPhotos:
    """A failed photo scores -inf: no threshold may ever accept it."""

    genuine = np.array([0.9, 0.8, metrics.FAILED])
    impostor = np.array([0.1, 0.2, metrics.FAILED, metrics.FAILED])

    def test_counts_as_false_non_match(self):
        assert metrics.fnmr(self.genuine, [0.0])[0] == pytest.approx(1 / 3)
        assert metrics.tar_at_fmr(
            self.genuine, self.impostor, 0.9, allow_unsupported=True
        ) == pytest.approx(2 / 3)

    def test_best_accuracy_never_accepts_it(self):
        scores = np.array([metrics.FAILED, metrics.FAILED, 0.1])
        accuracy, threshold = metrics.best_accuracy(scores, [True, True, True])
        assert accuracy == pytest.approx(1 / 3)
        assert threshold > metrics.FAILED

    def test_d_prime_leaves_it_out(self):
        assert np.isfinite(metrics.d_prime(self.genuine, self.impostor))


class TestRefusal:
    def test_rule_of_three_and_of_thirty(self):
        assert metrics.support(1e-3, 2999).level == "unsupported"
        assert metrics.support(1e-3, 3000).level == "weak"
        assert metrics.support(1e-3, 30_000).level == "measured"

    def test_unsupported_rate_raises_unless_allowed(self):
        genuine, impostor = np.linspace(0.5, 1, 50), np.linspace(-0.2, 0.4, 500)
        with pytest.raises(RateUnsupported, match="500 trials"):
            metrics.tar_at_fmr(genuine, impostor, 1e-4)
        assert metrics.tar_at_fmr(genuine, impostor, 1e-4, allow_unsupported=True) == 1.0

    @pytest.mark.parametrize("rate", [0, 1, -0.1, 2])
    def test_a_rate_without_meaning(self, rate):
        with pytest.raises(UsageError):
            metrics.threshold_at_fmr([0.1, 0.2], rate)

    def test_empty_and_nan(self):
        with pytest.raises(InvalidArray, match="no impostor"):
            metrics.split_scores([0.1, 0.2], [True, True])
        with pytest.raises(InvalidArray, match="NaN"):
            metrics.fmr([0.1, math.nan], [0.0])


class TestFolds:
    def test_threshold_comes_from_the_other_folds_only(self):
        # fold 0 alone would choose 0.5; the other fold's best lies near 0.85
        scores = np.array([0.6, 0.7, 0.3, 0.4, 0.95, 0.9, 0.7, 0.8])
        same = np.array([1, 1, 0, 0, 1, 1, 0, 0], bool)
        result = metrics.kfold_accuracy(scores, same, 2)
        np.testing.assert_allclose(result.thresholds, [0.85, 0.5])
        np.testing.assert_allclose(result.accuracies, [0.5, 0.5])
        np.testing.assert_array_equal(result.accepted[:4], [False] * 4)

    def test_contiguous_folds_match_scikit_learn(self):
        selection = pytest.importorskip("sklearn.model_selection")
        folds = metrics.contiguous_folds(6007, 10)
        for k, (_, test) in enumerate(selection.KFold(10).split(np.arange(6007))):
            np.testing.assert_array_equal(np.flatnonzero(folds == k), test)

    def test_arcface_torch_grid(self):
        """By hand: distances strictly below the threshold are accepted, first best one wins."""
        d = np.array([0.10, 0.105, 3.0, 3.0] * 2)
        same = np.array([1, 1, 0, 0] * 2, bool)
        result = metrics.arcface_torch_kfold(d, same, folds=2)
        assert result.accuracy == 1.0 and result.far == result.val == 1.0
        strict = metrics.arcface_torch_kfold(np.where(same, 0.11, 0.115), same, folds=2)
        assert strict.accuracy == 0.5  # 0.11 < 0.11 is false and 0.12 accepts both kinds


def test_stump_by_hand():
    """Values 1 2 3 | 10 11 with labels y y y n n: the split at 6.5 gains the whole entropy."""
    found = metrics.information_gain_stump([1, 2, 3, 10, 11], [1, 1, 1, 0, 0])
    entropy = -(0.6 * math.log2(0.6) + 0.4 * math.log2(0.4))
    assert found.threshold == 6.5
    assert found.gain == pytest.approx(entropy)


class TestIdentification:
    def test_search_by_hand(self):
        e = np.eye(4, dtype=np.float32)
        gallery = np.stack([e[0], e[1], (e[0] + e[1]) / math.sqrt(2)]).astype(np.float32)
        probes = np.stack([e[0], (e[0] * 0.6 + e[1] * 0.8), e[2], e[1]]).astype(np.float32)
        found = metrics.search(probes, ["a", "a", "z", "b"], gallery, ["a", "b", "c"], block=2)
        np.testing.assert_array_equal(found.mated_ranks, [1, 3, 1])
        np.testing.assert_allclose(found.mated_scores, [1, 0.6, 1], atol=1e-6)
        np.testing.assert_allclose(found.nonmated_scores, [0], atol=1e-6)
        np.testing.assert_allclose(metrics.cmc(found.mated_ranks, 3), [2 / 3, 2 / 3, 1])

    def test_ties_count_against_the_probe_and_failures_last(self):
        e = np.eye(2, dtype=np.float32)
        found = metrics.search(
            e[[0, 0]], ["a", "b"], e[[0, 0]], ["a", "b"], failed_probes=[False, True]
        )
        np.testing.assert_array_equal(found.mated_ranks, [2, 3])
        assert found.mated_scores[1] == metrics.FAILED

    def test_dir_at_fpir(self):
        searches = metrics.Searches(
            mated_scores=np.array([0.9, 0.8, 0.7, 0.3]),
            mated_ranks=np.array([1, 1, 2, 1]),
            mated_best_other=np.array([0.1, 0.1, 0.75, 0.1]),
            nonmated_scores=np.linspace(0.0, 0.59, 60),
            gallery_people=10,
        )
        rate, threshold = metrics.dir_at_fpir(searches, 0.1)
        assert (searches.nonmated_scores >= threshold).mean() <= 0.1
        assert rate == 0.5  # 0.3 falls below, the third is at rank 2
        assert metrics.dir_at_fpir(searches, 0.1, rank=2)[0] == 0.75
        with pytest.raises(RateUnsupported):
            metrics.dir_at_fpir(searches, 0.01)

    def test_several_templates_of_one_person_are_one_candidate(self):
        rng = np.random.default_rng(0)
        gallery = rng.standard_normal((30, 16)).astype(np.float32)
        gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
        people = np.repeat(np.arange(10), 3)
        probes, wanted = gallery[::5], people[::5]
        found = metrics.search(probes, wanted, gallery, people)
        scores = np.array([[(p @ gallery[people == k].T).max() for k in range(10)] for p in probes])
        own = scores[np.arange(6), wanted]
        np.testing.assert_allclose(found.mated_scores, own, atol=1e-6)
        assert found.gallery_people == 10 and (found.mated_ranks == 1).all()


class TestDiscard:
    def test_a_perfect_quality_measure_removes_the_errors_first(self):
        genuine = np.linspace(0, 1, 200)
        curve = metrics.error_versus_discard(genuine, genuine, np.ones(200), start_fnmr=0.1)
        assert curve.fnmr[0] == pytest.approx(0.1)
        assert curve.fnmr[10] == 0.0  # a tenth left out
        blind = metrics.error_versus_discard(genuine, 1 - genuine, np.ones(200), start_fnmr=0.1)
        assert blind.fnmr[-1] == pytest.approx(0.2)  # the wrong half is kept
        assert curve.area < 0.02 < blind.area


class TestAttacks:
    def test_rates_and_refusal(self):
        bona_fide = np.r_[np.full(95, 0.9), np.full(5, 0.2)]
        attacks = {
            "print": np.r_[np.full(39, 0.1), 0.8],
            "replay": np.r_[np.full(20, 0.1), np.full(20, 0.8)],
            "mask": np.full(29, 0.9),
        }
        rates = metrics.attack_rates(bona_fide, attacks, 0.5)
        assert rates.apcer["print"].value == pytest.approx(1 / 40)
        assert rates.worst_apcer is rates.apcer["replay"]
        assert rates.worst_apcer.value == 0.5
        assert rates.bpcer.value == pytest.approx(0.05)
        assert rates.refused == {"mask": 29}
        assert "mask" not in rates.apcer
        with pytest.raises(RateUnsupported, match="mask"):
            metrics.require_species(rates)
        metrics.require_species(rates, ["print"])


# --- intervals -------------------------------------------------------------------------------


def people_pairs(people: int, photos: int, effect: float, seed: int) -> PairScores:
    """All pairs of photos; every person carries an effect of their own on all their scores."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), photos)
    own = rng.normal(0, effect, people)
    a, b = np.triu_indices(len(who), 1)
    same = who[a] == who[b]
    scores = same * 3.0 + own[who[a]] + own[who[b]] + rng.normal(0, 1, len(a))
    return PairScores(scores, same, who[a], who[b])


class TestBootstrap:
    def test_interval_covers_the_truth_where_pair_resampling_does_not(self):
        """FMR at a fixed threshold; impostor ~ N(0, 1 + 2·0.6²) over people and photos."""
        truth = 1 - NORMAL.cdf(1.5 / math.sqrt(1 + 2 * 0.36))
        covered = narrow = 0
        for seed in range(60):
            pairs = people_pairs(30, 3, 0.6, seed)
            rate = intervals.fmr_rate(PairBootstrap(pairs, 200, seed), 1.5)
            covered += rate.low <= truth <= rate.high
            low, high = metrics.wilson(rate.count, rate.trials)
            narrow += low <= truth <= high
        assert covered >= 50  # nominal 57 of 60; percentile intervals run a little narrow
        assert narrow <= 40

    def test_counts_agree_with_weighting_by_hand(self):
        pairs = people_pairs(12, 3, 0.5, 1)
        boot = PairBootstrap(pairs, 20, 3)
        w = boot.weights
        weight = np.where(pairs.same, w[:, pairs.first], w[:, pairs.first] * w[:, pairs.second])
        t = [0.0, 1.0, 2.0]
        impostor, genuine = ~pairs.same, pairs.same
        for column, threshold in enumerate(t):
            hit = pairs.scores >= threshold
            expected = weight[:, impostor & hit].sum(1) / weight[:, impostor].sum(1)
            np.testing.assert_allclose(boot.fmr(t)[:, column], expected)
            expected = weight[:, genuine & ~hit].sum(1) / weight[:, genuine].sum(1)
            np.testing.assert_allclose(boot.fnmr(t)[:, column], expected, atol=1e-12)

    def test_threshold_is_chosen_again_in_each_replicate(self):
        pairs = people_pairs(15, 3, 0.5, 2)
        boot = PairBootstrap(pairs, 30, 0)
        found = boot.thresholds_at_fmr([0.05])[:, 0]
        for row, t in zip(boot.weights, found, strict=True):
            weight = (row[pairs.first] * row[pairs.second])[~pairs.same]
            scores = pairs.impostor
            assert (weight * (scores >= t)).sum() <= 0.05 * weight.sum() + 1e-9
            below = scores[scores < t].max()
            assert (weight * (scores >= below)).sum() > 0.05 * weight.sum() - 1e-9

    def test_table_and_gather_routes_agree(self):
        rng = np.random.default_rng(0)
        w = bootstrap.identity_weights(40, 10, 1)
        a, b = rng.integers(0, 40, (2, 5000))
        through_table = bootstrap._sums(w, a, b, squared=True)
        np.testing.assert_allclose(through_table, (w[:, a] * w[:, b]).sum(1), rtol=1e-6)

    def test_no_errors_observed_leaves_room_above_zero(self):
        pairs = PairScores.from_labels(
            [0.9, 0.9, 0.1, 0.1, 0.2, 0.2],
            ["a", "b", "a", "a", "b", "c"],
            ["a", "b", "b", "c", "c", "d"],
        )
        rate = intervals.fmr_rate(PairBootstrap(pairs, 50), 0.5)
        assert rate.value == rate.low == 0.0
        assert rate.high > 0.3

    def test_unsupported_points_are_left_out(self):
        pairs = people_pairs(20, 3, 0.2, 4)
        points = intervals.operating_points(PairBootstrap(pairs, 50), [1e-1, 1e-2, 1e-6])
        assert [p.target_fmr for p in points] == [1e-1, 1e-2]
        assert points[1].tar.support == points[1].fmr.support == "weak"
        assert all(p.tar.low <= p.tar.value <= p.tar.high for p in points)
        assert all(p.threshold_low <= p.threshold <= p.threshold_high for p in points)

    def test_eer_interval_holds_the_estimate(self):
        rate, _ = intervals.eer_rate(PairBootstrap(people_pairs(25, 4, 0.3, 5), 100))
        assert rate.low <= rate.value <= rate.high
        assert 0.01 < rate.high - rate.low < 0.2

    def test_pairs_without_people_are_grouped_by_chains(self):
        ids = people_of_pairs([0, 1, 3], [1, 2, 4], [True, True, False], 5)
        assert ids[0] == ids[1] == ids[2]
        assert len({ids[0], ids[3], ids[4]}) == 3

    def test_labels_that_contradict_the_people(self):
        with pytest.raises(InvalidArray, match="pair 0"):
            PairScores([0.5, 0.5], [True, False], [0, 1], [1, 2])


class TestTwoModels:
    def test_a_better_model_is_called_better_and_a_twin_is_not(self):
        a = people_pairs(40, 3, 0.5, 7)
        twin = PairScores(
            a.scores + np.random.default_rng(1).normal(0, 1e-3, len(a)), a.same, a.first, a.second
        )
        better = PairScores(a.scores + 1.0 * a.same, a.same, a.first, a.second)
        same = differences.compare_tar(a, twin, 1e-2)
        assert not same.significant and "no difference" in same.describe()
        found = differences.compare_tar(a, better, 1e-2)
        assert found.significant and found.describe().startswith("B is better by")
        expected = metrics.tar_at_fmr(better.genuine, better.impostor, 1e-2) - metrics.tar_at_fmr(
            a.genuine, a.impostor, 1e-2
        )
        assert found.difference == pytest.approx(expected)
        assert found.low < expected < found.high

    def test_pairing_is_narrower_than_two_separate_intervals(self):
        a = people_pairs(40, 3, 0.8, 8)
        noise = np.random.default_rng(2).normal(0, 0.1, len(a))
        b = PairScores(a.scores + noise, a.same, a.first, a.second)
        paired = differences.compare_tar(a, b, 1e-2)
        alone = intervals.operating_points(PairBootstrap(a), [1e-2])[0].tar
        assert paired.high - paired.low < 0.7 * (alone.high - alone.low)

    def test_different_pairs_are_refused(self):
        a, b = people_pairs(10, 3, 0.5, 1), people_pairs(11, 3, 0.5, 1)
        with pytest.raises(InvalidArray, match="same pairs"):
            differences.compare_tar(a, b, 0.1)

    def test_accuracy(self):
        a = people_pairs(30, 3, 0.3, 9)
        good, bad = a.scores >= 1.5, np.zeros(len(a), bool)
        found = differences.compare_accuracy(
            a, PairScores(a.scores, a.same, a.first, a.second), bad, good
        )
        assert found.b == pytest.approx((good == a.same).mean())
        assert found.a == pytest.approx((~a.same).mean())


def test_clustered_rate_is_wider_where_people_hang_together():
    people = np.repeat(np.arange(20), 10)
    events = people < 5
    together = intervals.clustered_rate(events, people)
    apart = intervals.clustered_rate(events, np.arange(200))
    assert together.value == apart.value == 0.25
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_identification_interval():
    rng = np.random.default_rng(0)
    searches = metrics.Searches(
        rng.normal(0.6, 0.1, 300), np.ones(300, np.int64), np.zeros(300),
        rng.normal(0.3, 0.1, 300), 50,
    )  # fmt: skip
    point = intervals.identification_point(
        searches, np.repeat(np.arange(50), 6), np.repeat(np.arange(60), 5), 0.1
    )
    expected = metrics.dir_at_fpir(searches, 0.1)[0]
    assert point.dir.value == pytest.approx(expected)
    assert point.dir.low < expected < point.dir.high
    assert point.fnir.value == pytest.approx(1 - expected)
