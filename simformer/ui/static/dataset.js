// The switch between data sets leads to the tab that is open; roles and photo are of the data set that is left.
const KEPT = ["tab", "__theme"];

function keep(event) {
  const link = event.target.closest("a");
  if (!link) return;
  const here = new URL(window.location).searchParams;
  link.search = new URLSearchParams(KEPT.filter((name) => here.has(name)).map((name) => [name, here.get(name)]));
}

// Before the browser follows it, in this window or in another.
for (const name of ["pointerdown", "click", "focusin"]) element.addEventListener(name, keep);
