"""Persons are told from animals, and a mismatch is named with the way to force it."""

import numpy as np
import pytest

from joyvasa.faces.haar import HaarDetector
from joyvasa.faces.species import Seen, decide, see_species


@pytest.fixture(scope="module")
def detector():
    return HaarDetector()


def test_a_person_is_seen_as_one(detector, person):
    seen = see_species(person, detector)
    assert seen.human is not None and seen.animal is None
    assert "1 face found" in seen.words and "haar" in seen.words
    assert decide("auto", seen) == decide("human", seen) == "human"


def test_a_cat_is_seen_as_one(detector, cat):
    seen = see_species(cat, detector)
    assert seen.human is None and seen.animal == "cat-like"
    assert decide("auto", seen) == decide("animal", seen) == "animal"


def test_what_shows_nobody_is_taken_for_an_animal_and_said(detector):
    seen = see_species(np.full((200, 200, 3), 120, np.uint8), detector)
    assert (seen.human, seen.animal) == (None, None)
    assert "no person's face" in seen.words and "no cat-like face" in seen.words
    assert decide("auto", seen) == "animal"


def test_a_mismatch_says_what_was_seen_and_how_to_force_it(detector, person, cat):
    with pytest.raises(ValueError, match="species=animal, but seen: 1 face found.*species=animal box=x,y,w,h"):
        decide("animal", see_species(person, detector))
    with pytest.raises(
        ValueError, match="species=human, but seen: no person's face.*a cat-like face.*species=human box=x,y,w,h"
    ):
        decide("human", see_species(cat, detector))


def test_where_both_are_seen_the_user_decides(person, detector):
    both = Seen(see_species(person, detector).faces, "cat-like", "both")
    assert [decide(asked, both) for asked in ("auto", "human", "animal")] == ["human", "human", "animal"]


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="species=dog .expected one of auto, human, animal"):
        decide("dog", Seen((), None, ""))
