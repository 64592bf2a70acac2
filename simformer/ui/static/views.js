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
  const image = namesImage(view);
  if (!image || !image.complete || !image.naturalWidth) return "";
  const column = Math.min(image.naturalWidth - 1, Math.floor(x * image.naturalWidth));
  const row = Math.min(image.naturalHeight - 1, Math.floor(y * image.naturalHeight));
  const [red, green, blue, alpha] = pixels(image).getImageData(column, row, 1, 1).data;
  if (alpha < 128) return image.closest("figure").dataset.unlabelled;
  const name = classNames()[nearest(red, green, blue)];
  if (!name) return "";
  // What a class is under CAM and FullyOracle does not depend on the roles.
  return view.dataset.doubt + (view.dataset.role ? name.replace(/ \([^)]*\)$/, ` (${view.dataset.role})`) : name);
}

const namesImage = (view) => element.querySelector(`[data-view="${view.dataset.namesFrom}"] .stage > img`);
const classNames = () => JSON.parse(element.querySelector(".views")?.dataset.names || "{}");
const near = new Map();

// The nearest class color, not the equal one: some browsers add noise to what a script reads.
function nearest(red, green, blue) {
  const key = (red << 16) | (green << 8) | blue;
  if (!near.has(key)) {
    let best = "", least = Infinity;
    for (const color of Object.keys(classNames())) {
      const value = parseInt(color.slice(1), 16);
      const distance = (red - (value >> 16)) ** 2 + (green - ((value >> 8) & 255)) ** 2 + (blue - (value & 255)) ** 2;
      if (distance < least) [best, least] = [color, distance];
    }
    near.set(key, best);
  }
  return near.get(key);
}

let place = { x: 0.5, y: 0.5 };

function point(x, y) {
  place = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  const told = [];
  for (const view of element.querySelectorAll("figure")) {
    const name = className(view, place.x, place.y);
    const pointer = view.querySelector(".pointer");
    pointer.firstElementChild.textContent = name;
    const across = (place.x - shown.left) * shown.zoom, down = (place.y - shown.top) * shown.zoom;
    pointer.className = "pointer shown" + (across > 0.5 ? " left" : "") + (down > 0.5 ? " up" : "");
    pointer.style.left = `${100 * across}%`;
    pointer.style.top = `${100 * down}%`;
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
  if (event.target.closest(".swipe-bar")) return hide();
  const box = stage.getBoundingClientRect();
  if (event.type === "pointermove" && dragged && event.buttons) {
    look(shown.zoom, shown.left - event.movementX / box.width / shown.zoom, shown.top - event.movementY / box.height / shown.zoom);
  }
  dragged = event.type === "pointerdown" ? shown.zoom > 1 : dragged && Boolean(event.buttons);
  point(...at(event, box));
}

// Where an event is in the photo, 0 to 1 from left and top.
function at(event, box) {
  const across = (event.clientX - box.left) / box.width, down = (event.clientY - box.top) / box.height;
  return [shown.left + across / shown.zoom, shown.top + down / shown.zoom];
}

element.addEventListener("pointermove", follow);
element.addEventListener("pointerdown", follow);
element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
element.addEventListener("keydown", (event) => {
  if (event.target.closest("[data-color]")) return legendKey(event);
  if (!event.target.closest(".stage") || event.target.closest(".swipe-bar")) return;
  if (event.key === "Escape") return hide();
  if (["+", "=", "-", "0"].includes(event.key)) {
    event.preventDefault();
    return event.key === "0" ? look(1, 0, 0) : zoomAt(event.key === "-" ? 1 / 1.5 : 1.5, place.x, place.y);
  }
  const far = event.shiftKey ? 0.1 : 0.02;
  const [x, y] = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key] || [];
  if (x === undefined) return;
  event.preventDefault();
  step(x, y);
});

// The pointer moves from where it is seen, and the views follow it where it would leave them.
function step(x, y) {
  const size = 1 / shown.zoom, margin = size / 10, between = (low, value, high) => Math.min(high, Math.max(low, value));
  x += between(shown.left, place.x, shown.left + size);
  y += between(shown.top, place.y, shown.top + size);
  look(shown.zoom, between(x + margin - size, shown.left, x - margin), between(y + margin - size, shown.top, y - margin));
  point(x, y);
}

// Zoom and pan: one part of the photo in all views.
const MOST_ZOOM = 12;
let shown = { zoom: 1, left: 0, top: 0 }, dragged = false;

function look(zoom, left, top) {
  zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
  const inside = (value) => Math.min(1 - 1 / zoom, Math.max(0, value));
  shown = { zoom, left: inside(left), top: inside(top) };
  const views = element.querySelector(".views");
  if (!views) return;
  // What CSS calls a background's position: the share of what does not fit that lies to the left of it.
  const position = (value) => `${zoom > 1 ? (100 * value) / (1 - 1 / zoom) : 0}%`;
  const values = { zoom, left: -100 * shown.left + "%", top: -100 * shown.top + "%", x: position(shown.left), y: position(shown.top) };
  for (const [name, value] of Object.entries(values)) views.style.setProperty(`--look-${name}`, value);
  views.classList.toggle("zoomed", zoom > 1);
}

// The place (x, y) of the photo stays where it is.
function zoomAt(factor, x, y) {
  const zoom = Math.min(MOST_ZOOM, Math.max(1, shown.zoom * factor)), ratio = shown.zoom / zoom;
  look(zoom, x - (x - shown.left) * ratio, y - (y - shown.top) * ratio);
  hide();
}

element.addEventListener("wheel", (event) => {
  const stage = event.target.closest(".stage");
  if (!stage || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  zoomAt(event.deltaY < 0 ? 1.25 : 0.8, ...at(event, stage.getBoundingClientRect()));
}, { passive: false });
element.addEventListener("dblclick", (event) => {
  const stage = event.target.closest(".stage");
  if (stage) zoomAt(2, ...at(event, stage.getBoundingClientRect()));
});

// The legend: one class alone, or some hidden, in every view.
const hidden = new Set();
let alone = "";

const visible = (color) => (alone ? color === alone : !hidden.has(color));

function legendKey(event) {
  const { color } = event.target.closest("[data-color]").dataset;
  if (event.key === "Escape") everyClass();
  else if (event.key.toLowerCase() === "h") hideClass(color);
  else return;
  event.preventDefault();
}

function everyClass() {
  alone = "";
  hidden.clear();
  filter();
}

function hideClass(color) {
  alone = "";
  if (!hidden.delete(color)) hidden.add(color);
  filter();
}

function isolate(color) {
  alone = alone === color ? "" : color;
  hidden.clear();
  filter();
}

async function filter() {
  const buttons = [...element.querySelectorAll("[data-color]")];
  if (alone && !buttons.some((button) => button.dataset.color === alone)) alone = "";
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(alone === button.dataset.color));
    button.classList.toggle("off", !visible(button.dataset.color));
  }
  const all = !alone && !hidden.size;
  element.querySelector("[data-every]")?.toggleAttribute("hidden", all);
  for (const image of element.querySelectorAll(".stage img")) {
    image.parentElement.querySelector("canvas")?.remove();
    image.style.visibility = "";
    const names = image.dataset.own ? image : namesImage(image.dataset.namesFrom ? image : image.closest("figure"));
    if (all || !names) continue;
    await Promise.all([image.decode(), names.decode()]).catch(() => {});
    if (image.isConnected && image.naturalWidth === names.naturalWidth) image.after(filtered(image, names));
  }
}

// A copy of an overlay without the classes that are hidden; the overlay itself still names them to the pointer.
function filtered(image, names) {
  const canvas = document.createElement("canvas"), { naturalWidth: width, naturalHeight: height } = image;
  Object.assign(canvas, { width, height });
  const drawn = pixels(image).getImageData(0, 0, width, height);
  const named = names === image ? drawn.data : pixels(names).getImageData(0, 0, width, height).data;
  for (let i = 0; i < named.length; i += 4) {
    if (named[i + 3] > 127 && !visible(nearest(named[i], named[i + 1], named[i + 2]))) drawn.data[i + 3] = 0;
  }
  canvas.getContext("2d").putImageData(drawn, 0, 0);
  image.style.visibility = "hidden";
  return canvas;
}

// Swipe: two views in one, left and right of a line. What SimFormer showed before its roles changed is one of them.
let before = null, last = null, pair = null, looked = "";

function sources() {
  const found = [{ key: "photo", title: "Photo", src: "" }];
  for (const view of element.querySelectorAll("figure[data-view]")) {
    const image = view.querySelector(".stage > img");
    const title = view.querySelector("figcaption strong").textContent;
    if (image) found.push({ key: view.dataset.view, title, src: image.src, namesFrom: view.dataset.namesFrom });
  }
  if (before) found.push({ ...before, key: "before", title: `Before: ${before.title}` });
  return found;
}

function swipe(keys) {
  pair = keys;
  element.querySelector("figure.swipe")?.remove();
  const views = element.querySelector(".views"), found = sources();
  const parts = keys && views && keys.map((key) => found.find((source) => source.key === key));
  for (const [index, select] of element.querySelectorAll("[data-swipe]").entries()) {
    select.replaceChildren(...found.map(({ key, title }) => new Option(title, key)));
    select.value = keys?.[index] || found[Math.max(0, found.length - 2 + index)].key;
  }
  element.querySelector("[data-before]")?.toggleAttribute("hidden", !before);
  element.querySelector("[data-swipe-on]")?.setAttribute("aria-pressed", String(Boolean(parts?.every(Boolean))));
  if (!parts?.every(Boolean)) return;
  const figure = document.createElement("figure");
  figure.className = "swipe";
  figure.innerHTML = `<figcaption><strong></strong><span>Drag the line.</span></figcaption>
    <div class="stage" role="group">${'<div class="layer"></div>'.repeat(2)}<i class="cut"></i>
    <span class="pointer"><b></b></span><input type="range" class="swipe-bar" min="0" max="100" value="50" aria-label="Where the two views meet"></div>`;
  figure.querySelector("strong").textContent = parts.map(({ title }) => title).join(" | ");
  figure.querySelector(".stage").setAttribute("aria-label", `${parts[0].title} left, ${parts[1].title} right of a line`);
  for (const [index, { src, namesFrom, key }] of parts.entries()) {
    if (!src) continue;
    const image = Object.assign(new Image(), { src, alt: "", draggable: false });
    Object.assign(image.dataset, key === "before" ? { own: "yes" } : { namesFrom });
    figure.querySelectorAll(".layer")[index].append(image);
  }
  views.prepend(figure);
  figure.querySelector(".swipe-bar").addEventListener("input", (event) => figure.style.setProperty("--cut", `${event.target.value}%`));
  filter();
}

const chosenPair = () => [...element.querySelectorAll("[data-swipe]")].map((select) => select.value);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { color, zoom } = button.dataset;
  if (color) event.shiftKey ? hideClass(color) : isolate(color);
  else if (zoom) zoom === "off" ? look(1, 0, 0) : zoomAt(zoom === "in" ? 1.5 : 1 / 1.5, shown.left + 0.5 / shown.zoom, shown.top + 0.5 / shown.zoom);
  else if (button.matches("[data-every]")) everyClass();
  else if (button.matches("[data-swipe-on]")) swipe(pair ? null : chosenPair());
  else if (button.matches("[data-before]")) swipe(["before", "simformer"]);
});
element.addEventListener("change", (event) => event.target.matches("[data-swipe]") && swipe(chosenPair()));

// New views: of the same photo they are looked at as before; of another everything starts afresh.
function renewed() {
  hide();
  near.clear();
  const views = element.querySelector(".views"), photo = views?.style.getPropertyValue("--photo") || "";
  const view = element.querySelector('[data-view="simformer"]'), image = view?.querySelector(".stage > img");
  const title = view?.querySelector("figcaption strong").textContent, now = image && { src: image.src, title, roles: view.dataset.roles };
  if (looked && photo && photo !== looked) {
    [before, last, pair, alone] = [null, null, null, ""];
    hidden.clear();
    look(1, 0, 0);
  } else look(shown.zoom, shown.left, shown.top);
  if (photo) looked = photo;
  // All roles of one's own have one title.
  if (now && last && (now.title !== last.title || now.roles !== last.roles)) before = last;
  if (now) last = now;
  if (views) swipe(pair);
  filter();
}

watch("value", () => requestAnimationFrame(renewed));
renewed();
