// A matrix of classes: a click on a cell, or Enter on it, opens the photos behind it, which appear in the gallery; the
// arrow keys go from cell to cell, of which one at a time is a stop of the Tab key.
const buttons = () => [...element.querySelectorAll("table.matrix button")];

function openOne() {
  const first = buttons()[0];
  if (first && !element.querySelector('table.matrix button[tabindex="0"]')) first.tabIndex = 0;
}

element.addEventListener("click", (event) => {
  const cell = event.target.closest("[data-pair]");
  if (!cell) return;
  const [truth, predicted] = cell.dataset.pair.split(",").map(Number);
  for (const other of element.querySelectorAll("[data-pair]")) other.classList.toggle("chosen", other.dataset.pair === cell.dataset.pair);
  trigger("click", { truth, predicted });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const cards = document.querySelector("#own-cards");
  if (!cards) return;
  cards.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  // The next Tab leads to what has been opened, not to the cell behind this one.
  cards.tabIndex = -1;
  cards.focus({ preventScroll: true });
});

element.addEventListener("keydown", (event) => {
  const cell = event.target.closest("table.matrix button");
  const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [];
  if (!cell || across === undefined) return;
  event.preventDefault();
  let place = cell.parentElement, row = place.parentElement, column = place.cellIndex;
  do {
    if (down) row = down > 0 ? row.nextElementSibling : row.previousElementSibling;
    column += across;
    place = row?.cells[column];
  } while (place && !place.querySelector("button"));
  const next = place?.querySelector("button");
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

watch("value", () => requestAnimationFrame(openOne));
openOne();
