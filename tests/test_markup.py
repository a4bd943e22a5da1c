"""Names and times as a report page says them."""

from __future__ import annotations

from joyvasa.markup import clock, document, duration, shown, text, with_commands


def test_times_in_words():
    assert [duration(s) for s in (0, 99.9, 99.96, 5996.9, 36000)] == [
        "0.0 s",
        "99.9 s",
        "1.7 min",
        "99.9 min",
        "10.0 h",
    ]
    assert [clock(s) for s in (0, 59.96, 60, 3599.96, 3723.44)] == [
        "0:00.0",
        "1:00.0",
        "1:00.0",
        "1:00:00.0",
        "1:02:03.4",
    ]
    assert text("a" * 100, 10) == "<bdi>aaaaa … aaaaa</bdi>"


def test_names_that_are_no_utf8_stay_different():
    assert shown("a\udcff") == "a\\xff" != shown("a\udcfe") and shown("\u6f14") == "\u6f14"


def test_what_can_be_typed_stands_out_and_all_is_escaped():
    said = with_commands("<b> type `python x <y>` or python -m joyvasa.weights pull syncnet; then `z")
    pull = "<code>python -m joyvasa.weights pull syncnet</code>"
    assert said == f"<bdi>&lt;b&gt; type <code>python x &lt;y&gt;</code> or {pull}; then `z</bdi>"
    assert with_commands("`a` " * 4000, 100).count("<code>") < 50 and with_commands("a\u202e") == text("a\u202e")


def test_a_page_may_bring_its_own_style():
    assert document("t", "b").count("<style>") == 1 and "i{color:red}</style>" in document("t", "b", "i{color:red}")
