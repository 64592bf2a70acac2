"""Small pieces of HTML."""

from __future__ import annotations

from simformer.ui.parts.html import chip, empty, iou_text, legend, role_mark, share_text


def test_a_share_never_reads_zero_for_something():
    assert [share_text(share) for share in (0, 0.0001, 0.004, 0.0949, 0.314, 1)] == [
        "0 %", "< 0.1 %", "0.4 %", "9.5 %", "31 %", "100 %",
    ]  # fmt: skip


def test_an_iou_says_when_it_is_missing():
    assert iou_text(31.44) == "31.4"
    assert "missing" in iou_text(None)


def test_names_are_text():
    assert empty("<b>") == '<p class="empty">&lt;b&gt;</p>'
    assert "<i>" not in chip("<i>", "#112233") and "&lt;i&gt;" in chip("<i>", "#112233")
    html = legend('a "b"', [chip("cow", "#740600", role_mark("base"))], "<Classes>")
    assert "&quot;b&quot;" in html and "&lt;Classes&gt;" in html
    assert (
        '<li><span class="swatch" style="background:#740600"></span>cow <span class="role base">base</span></li>'
        in html
    )
