"""The colours, by what the terminal and the environment say."""

import pytest

from tether.cli.screen.theme import DARK, LIGHT, PLAIN_THEME, Theme, first_theme, theme_for


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({}, DARK),
        ({"COLORFGBG": "15;0"}, DARK),
        ({"COLORFGBG": "0;15"}, LIGHT),
        ({"COLORFGBG": "0;default;7"}, LIGHT),
        ({"COLORFGBG": "0;15", "TETHER_THEME": "dark"}, DARK),
        ({"TETHER_THEME": "nonsense"}, DARK),
        ({"NO_COLOR": "1", "TETHER_THEME": "light"}, PLAIN_THEME),
        ({"NO_COLOR": ""}, DARK),
    ],
)
def test_the_theme_to_begin_with(environ: dict[str, str], theme: Theme) -> None:
    assert first_theme(environ) is theme


@pytest.mark.parametrize(
    ("answer", "theme"),
    [
        ("\x1b]11;rgb:ffff/ffff/ffff\x07", LIGHT),
        ("\x1b]11;rgb:fd/f6/e3\x1b\\", LIGHT),
        ("\x1b]11;rgb:0000/2b2b/3636\x1b\\", DARK),
        ("\x1b]11;rgba:0/0/0/f\x07", DARK),
        ("\x1b]11;?\x07", None),
    ],
)
def test_the_theme_for_a_background(answer: str, theme: Theme | None) -> None:
    assert theme_for(answer) is theme
