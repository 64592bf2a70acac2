// A click on a card (or Enter on it) opens its photo, which appears above the gallery.
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-index]");
  if (!card) return;
  trigger("click", { index: Number(card.dataset.index) });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.querySelector("#own-photo")?.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
});
