// Runs once when the views are loaded, with `element`, their root. Pointing at a place of one view marks that place in
// all of them, and each names its class there. The overlays are lossless, so a color tells the class.
const kept = new WeakMap();

function pixels(image) {
  let entry = kept.get(image);
  if (!entry || entry.source !== image.src) {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    entry = { source: image.src, context };
    kept.set(image, entry);
  }
  return entry.context;
}

function className(view, x, y) {
  const image = element.querySelector(`[data-view="${view.dataset.namesFrom}"] img`);
  if (!image || !image.complete || !image.naturalWidth) return "";
  const column = Math.min(image.naturalWidth - 1, Math.floor(x * image.naturalWidth));
  const row = Math.min(image.naturalHeight - 1, Math.floor(y * image.naturalHeight));
  const [red, green, blue, alpha] = pixels(image).getImageData(column, row, 1, 1).data;
  if (alpha < 128) return image.closest("figure").dataset.unlabelled;
  // The nearest color, not the equal one: some browsers add noise to what a script reads.
  let best = "", least = Infinity;
  for (const [color, name] of Object.entries(JSON.parse(element.querySelector(".views").dataset.names))) {
    const value = parseInt(color.slice(1), 16);
    const distance = (red - (value >> 16)) ** 2 + (green - ((value >> 8) & 255)) ** 2 + (blue - (value & 255)) ** 2;
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

let place = { x: 0.5, y: 0.5 };

function point(x, y) {
  place = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  const told = [];
  for (const view of element.querySelectorAll("figure")) {
    const name = className(view, place.x, place.y);
    const pointer = view.querySelector(".pointer");
    pointer.firstElementChild.textContent = name;
    pointer.className = "pointer shown" + (place.x > 0.5 ? " left" : "") + (place.y > 0.5 ? " up" : "");
    pointer.style.left = `${100 * place.x}%`;
    pointer.style.top = `${100 * place.y}%`;
    if (name && view.dataset.namesFrom === view.dataset.view) {
      told.push(`${view.querySelector("figcaption strong").textContent}: ${name}`);
    }
  }
  element.querySelector(".readout").textContent = told.join(" · ");
}

function hide() {
  for (const pointer of element.querySelectorAll(".pointer")) pointer.className = "pointer";
  const readout = element.querySelector(".readout");
  if (readout) readout.textContent = "";
}

function follow(event) {
  const stage = event.target.closest(".stage");
  if (!stage) return event.pointerType === "mouse" && hide();
  const box = stage.getBoundingClientRect();
  point((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

element.addEventListener("pointermove", follow);
element.addEventListener("pointerdown", follow);
element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
element.addEventListener("keydown", (event) => {
  if (!event.target.closest(".stage")) return;
  if (event.key === "Escape") return hide();
  const step = event.shiftKey ? 0.1 : 0.02;
  const [x, y] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] || [];
  if (x === undefined) return;
  event.preventDefault();
  point(place.x + x, place.y + y);
});
watch("value", hide);
