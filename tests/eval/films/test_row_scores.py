"""A row's number and the difference of two rows are of the same kind."""

import numpy as np
import pytest

from joyvasa.eval.films.film_scores import FilmScore
from joyvasa.eval.films.row_scores import difference, mean_score
from joyvasa.eval.protocols import get


def rows(*films):
    return {str(key): FilmScore({"lse_c": value, "offset": 0.0}, weight, offsets) for key, (value, weight, offsets)
            in enumerate(films)}  # fmt: skip


def test_the_difference_is_that_of_the_numbers_in_the_table():
    protocol = get("syncnet")
    one = rows((5.0, 9.0, [0] * 9), (2.0, 1.0, [3]), (4.0, 2.0, [1, 1]))
    other = rows((4.0, 9.0, [1] * 9), (6.0, 1.0, [0]), (4.0, 1.0, [0]))
    for quantity in ("lse_c", "offset"):
        values = [mean_score(protocol, quantity, row, 0).value for row in (one, other)]
        found = difference(protocol, quantity, one, other, 0)
        assert found.value == pytest.approx(values[0] - values[1]) and found.n == 3
    assert mean_score(protocol, "lse_c", one, 0).value == pytest.approx((45 + 2 + 8) / 12)


def test_films_without_a_number_in_both_are_left_out_and_told():
    one, other = rows((5.0, 1.0, [0]), (np.inf, 1.0, [0])), rows((4.0, 1.0, [0]), (6.0, 1.0, [0]))
    found = difference(get("psnr"), "lse_c", one, other, 0)
    assert found.value == 1.0 and "1 films without a finite number" in found.note
    assert np.isnan(difference(get("psnr"), "lse_c", one, {}, 0).value)


def test_offsets_have_the_lower_median_of_all_tracks():
    pair = ((0, 2.0, [4, -2]), (0, 2.0, [1, 7]))
    assert mean_score(get("syncnet"), "offset", rows(*pair), 0).value == 1
    found = mean_score(get("syncnet"), "offset", rows(*pair, *pair, *pair), 0)
    assert found.value == 1 and found.low >= -2 and found.high <= 7
