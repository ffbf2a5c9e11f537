from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.view.layout import Box, Layout, Link, Place, lay_out

NAMES = [f"b{number}" for number in range(8)]


def boxes(*names: str, last: str = "") -> list[Box]:
    return [Box(name, 100 + 10 * number, 40, last=name == last) for number, name in enumerate(names)]


def links(*pairs: tuple[str, str]) -> list[Link]:
    return [Link(source, target, Box(f"l{number}", 60, 30)) for number, (source, target) in enumerate(pairs)]


def overlap(one: Place, other: Place) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height - 1e-6
        and other.y < one.y + one.height - 1e-6
    )


def test_a_line_goes_from_left_to_right_over_its_label() -> None:
    layout = lay_out(boxes("a", "b"), links(("a", "b")))
    a, label, b = (layout.places[name] for name in ("a", "l0", "b"))
    assert a.x + a.width < label.x
    assert label.x + label.width < b.x
    there, on = layout.lines[0]
    assert (there[0], there[-1], on[0], on[-1]) == (a.right, label.left, label.right, b.left)


def test_what_has_no_line_behind_it_is_on_the_right_and_the_last_behind_all() -> None:
    layout = lay_out(
        boxes("a", "b", "c", "sink", "up", last="up"), links(("a", "b"), ("b", "c"), ("a", "sink"), ("a", "up"))
    )
    middle = {name: place.x + place.width / 2 for name, place in layout.places.items()}
    assert middle["a"] < middle["b"] < middle["c"] == middle["sink"] < middle["up"]


def test_a_circle_is_cut_where_it_is_entered() -> None:
    layout = lay_out(boxes("b", "a", "start"), links(("b", "a"), ("a", "b"), ("start", "a")))
    assert layout.places["start"].x < layout.places["a"].x < layout.places["b"].x
    back = layout.lines[0]
    assert back[0][0][0] > back[1][-1][0]


def test_a_line_to_its_own_box_returns_below() -> None:
    layout = lay_out(boxes("a"), links(("a", "a")))
    there, back = layout.lines[0]
    assert there[0][1] < back[-1][1]
    assert there[0][0] == back[-1][0]


def test_what_has_no_line_is_in_rows_below() -> None:
    layout = lay_out(boxes("a", "b", "c"), links(("a", "b")))
    assert layout.places["c"].y > layout.places["a"].y + layout.places["a"].height
    many = lay_out([Box(f"x{number}", 300, 40) for number in range(7)], [])
    assert len({place.y for place in many.places.values()}) == 4
    assert many.width == 616


def test_nothing_takes_no_room() -> None:
    assert lay_out([], []) == Layout(0.0, 0.0, {}, ())


PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14)


@settings(deadline=None)
@given(PAIRS)
def test_no_two_boxes_overlap_and_all_are_inside(pairs: list[tuple[str, str]]) -> None:
    layout = lay_out(boxes(*NAMES, last="b7"), links(*pairs))
    places = list(layout.places.values())
    assert len(places) == len(NAMES) + len(pairs)
    for number, one in enumerate(places):
        assert one.x >= -1e-6
        assert one.y >= -1e-6
        assert one.x + one.width <= layout.width + 1e-6
        assert one.y + one.height <= layout.height + 1e-6
        assert not any(overlap(one, other) for other in places[number + 1 :])


@settings(deadline=None)
@given(PAIRS)
def test_the_same_input_gives_the_same_picture(pairs: list[tuple[str, str]]) -> None:
    assert lay_out(boxes(*NAMES), links(*pairs)) == lay_out(boxes(*NAMES), links(*pairs))


def test_long_lines_of_a_huge_picture_are_straight() -> None:
    names = [f"n{number}" for number in range(300)]
    chain = list(pairwise(names))
    layout = lay_out(boxes(*names), links(*chain, *((name, names[-1]) for name in names[:200])))
    assert all(len(on) <= 4 for _, on in layout.lines)
