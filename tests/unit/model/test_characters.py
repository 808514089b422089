import pytest

from service.model.characters import has_control_or_direction_characters, is_blank


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\u2800\u3164", "\ufeff \u00a0"])
def test_a_text_that_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["Bucephalus", "\u200bx", "\u0639\u200c\u0644", "\U0001f984"])
def test_a_text_that_shows_something_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\u202eabc", "a\u2028b"])
def test_characters_that_break_a_line_or_turn_the_text_around_are_found(text: str) -> None:
    assert has_control_or_direction_characters(text)


def test_a_joiner_is_no_control_character() -> None:
    assert not has_control_or_direction_characters("\u0639\u200c\u0644")
