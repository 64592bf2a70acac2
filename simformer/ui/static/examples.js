// A click on a thumbnail shows its photo. What the page says of the thumbnails (`chosen`, `scores`) is filled in here.
function mark(name) {
  for (const button of element.querySelectorAll("[data-example]")) {
    button.setAttribute("aria-pressed", button.dataset.example === name);
  }
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-example]");
  if (!button) return;
  mark(button.dataset.example);
  trigger("chose", { name: button.dataset.example });
});

watch("chosen", () => {
  mark(props.chosen);
  window.studioAddress?.set("example", props.chosen);
});

watch("scores", () => {
  const legend = element.querySelector("p span");
  if (legend) legend.hidden = !Object.keys(props.scores).length;
  for (const button of element.querySelectorAll("[data-example]")) {
    const score = props.scores[button.dataset.example];
    button.querySelector("b").textContent = score ?? "";
    if (score) button.querySelector("b").setAttribute("aria-label", `mIoU ${score} %`);
  }
});
