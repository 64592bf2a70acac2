"""How the page looks: one theme, a few style sheets, fonts that every system has."""

from __future__ import annotations

from gradio.themes import Default
from gradio.themes import ThemeClass as Theme

from simformer.paths import STATIC

STYLES = sorted(STATIC.glob("*.css"))


def theme() -> Theme:
    """Quiet grays, so that the only strong colors on the page are those of the classes."""
    return Default(
        primary_hue="blue",
        neutral_hue="slate",
        radius_size="md",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        # Gradio's own are too pale on white to be read by everyone.
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
    )
