"""Weights that could not be fetched are one cause of many steps, said once."""

from __future__ import annotations

from joyvasa.tasks.accept_causes import Cause, brief, cause_of, lines
from joyvasa.tasks.accept_step import Outcome

PULL = "python -m joyvasa.weights pull"
UNFETCHED = {"i3d": "HTTP 404 gone", "i3d_videogpt": "no answer", "lpips": "no answer"}


def test_a_step_has_the_cause_of_the_entry_that_it_asks_for():
    for name, reason in UNFETCHED.items():
        lacking = Outcome("unverified", f"weights absent: {PULL} {name} (of its code 1 known answer agrees)")
        assert cause_of(lacking, UNFETCHED) == Cause(name, reason)
        assert brief(lacking.detail) == "weights absent (of its code 1 known answer agrees)"
    for other in (
        Outcome("unverified", f"weights absent: {PULL} inception"),  # nobody tried
        Outcome("unverified", "needs the authors' clip: give reference=PATH"),
        Outcome("WRONG", f"alex.pth: WRONG: sha256; delete it, then {PULL} lpips"),
        Outcome("verified", "2 known answers agree"),
    ):
        assert cause_of(other, UNFETCHED) is None


def test_a_reason_is_said_once_with_the_number_of_its_steps_and_its_entries():
    causes = {
        f"{step} {name}": Cause(name, reason) for step in ("weights", "metric") for name, reason in UNFETCHED.items()
    }
    gone, silent = lines(causes)
    assert gone.startswith("2 steps: the weights could not be fetched: HTTP 404 gone; ") and gone.endswith("NAME: i3d")
    assert silent.startswith("4 steps: ") and silent.endswith("; NAME: i3d_videogpt, lpips")
    assert "`python -m joyvasa.weights import PATH --as NAME`" in gone
    assert lines({}) == []
