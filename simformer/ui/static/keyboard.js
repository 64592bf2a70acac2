// What Gradio leaves out for visitors who use the keyboard alone. Runs once, before the page is there.
const PANEL = '[role="dialog"][aria-modal="true"]', FULLSCREEN = 'button[aria-label*="ullscreen"]';

// Gradio puts another button in its place, and the focus would be lost.
function toFullscreenButton(block) {
  setTimeout(() => block.querySelector(FULLSCREEN)?.focus(), 100);
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (key === "Tab") {
    // A list that scrolls is a stop of its own in Chrome. From a menu the key would lead into the menu's list, which
    // closes, and the focus would be nowhere. Options are reached with the arrow keys.
    for (const list of document.querySelectorAll('[role="listbox"]')) list.tabIndex = -1;
    // A menu opens at every key that it hears of, and would stand open when the focus has left.
    if (target.getAttribute("role") === "combobox") event.stopPropagation();
  } else if (key === "Escape") {
    document.querySelector(`${PANEL} > .backdrop`)?.click();
    const block = document.querySelector(".block.fullscreen");
    if (block) toFullscreenButton(block);
  }
}, true);

document.addEventListener("click", ({ target }) => {
  const block = target.closest(FULLSCREEN)?.closest(".block");
  if (block) toFullscreenButton(block);
  const opener = target.closest("footer button");
  if (!opener) return;
  // The footer's panels take the focus when they open, keep it, and give it back.
  let panel = null;
  new MutationObserver((_, observer) => {
    const now = document.querySelector(PANEL);
    if (now && !now.contains(document.activeElement)) now.querySelector("button")?.focus();
    if (panel && !now) {
      observer.disconnect();
      opener.focus();
    }
    panel = now;
  }).observe(document.body, { childList: true, subtree: true });
}, true);

// A button that opens another tab disappears with its own, and the focus would be nowhere: it goes to the tab's name.
let focused = null;
document.addEventListener("focusin", ({ target }) => { focused = target; });
function toOpenTab(tries) {
  if (!focused || ![focused, document.body].includes(document.activeElement)) return;
  if (!focused.checkVisibility()) document.querySelector('#tabs [role="tab"][aria-selected="true"]')?.focus();
  else if (tries) setTimeout(toOpenTab, 100, tries - 1); // its own tab is still there
}
new MutationObserver(() => toOpenTab(20)).observe(document, { subtree: true, attributeFilter: ["aria-selected"] });
