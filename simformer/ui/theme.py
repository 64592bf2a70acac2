"""How the page looks: one theme, a few style sheets, fonts that every system has."""

from __future__ import annotations

from gradio import I18n
from gradio.themes import Default
from gradio.themes import ThemeClass as Theme

from simformer.paths import STATIC

STYLES = sorted(STATIC.glob("*.css"))
# Gradio keeps style sheets to what the page lays out; around that a phone has margins of half a thumb, and a dot behind
# the button "Use via API", which it does not show there. What Gradio itself moves does not ask whom that disturbs.
HEAD = f"""<style>@media (max-width: 639px) {{
  .gradio-container > .main.app {{ padding-inline: 1rem !important; }}
  footer .divider {{ display: none !important; }}
}}
@media (prefers-reduced-motion: reduce) {{
  *, ::before, ::after {{
    animation-duration: 1ms !important; animation-delay: 0s !important; animation-iteration-count: 1 !important;
    transition-duration: 0s !important; transition-delay: 0s !important; scroll-behavior: auto !important;
  }}
}}</style>
<script type="module">{(STATIC / "keyboard.js").read_text(encoding="utf-8")}</script>"""

# A button that Gradio has no name for.
WORDS = I18n(en={"common.upload": "Add files"})


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
        # ... and in the dark the border of a field that has the focus is hardly another than that of the others.
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_500",
        input_shadow_focus="0 0 0 1px *primary_500",
        input_shadow_focus_dark="0 0 0 1px *primary_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
    )
