// Rows of the Compare tab: runs once when the tab is opened, with `element`, `server` and `watch`. A query comes with
// the element's value; the server answers it with the order of the photos. Rows lie in chunks, which are filled when
// they come near the window and emptied when they are far from it, so that thousands of photos are no more than a few
// dozen in the page.
const CHUNK = 4;
const NEAR = "1200px 0px";
const POLL = 1500; // milliseconds between two looks at the progress
const RETRY = 3000;
const AT_ONCE = 2;
const chosen = new Set(), enlarged = new Set();
let run = 0, query = null, order = [], done = -1, finished = true, watcher = null, filling = false;
let wanted = [], loading = 0, away = false;

const find = (selector) => element.querySelector(selector);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// The answer of a server function; null if another query has come meanwhile. A server that is away is asked again.
async function ask(name, asked) {
  const mine = run;
  while (mine === run) {
    try {
      const answer = await server[name](asked);
      if (mine !== run) return null;
      if (away) say("");
      away = false;
      return answer;
    } catch {
      if (mine !== run) return null;
      away = true;
      say("The server does not answer; it is asked again.");
      await pause(RETRY);
    }
  }
  return null;
}

// It stands until the visitor does the next thing.
function say(text) {
  const place = find(".compare-say");
  if (place && place.textContent !== text) place.textContent = text;
}

function layOut() {
  find(".compare").innerHTML = `<div class="compare-bar"><span class="compare-count" aria-live="polite"></span>
    <button type="button" class="compare-figure" disabled>Figure of these rows (PNG)</button>
    <button type="button" class="compare-none" hidden>Choose none</button>
    <button type="button" class="compare-again" hidden>Sort again</button>
    <span class="compare-say" role="status"></span></div><div class="compare-progress"></div><div class="compare-head"></div>
    <div class="compare-list"></div>`;
  count();
}

function count() {
  const listed = order.filter((index) => chosen.has(index)).length;
  find(".compare-count").textContent = listed === 1 ? "1 row chosen" : listed ? `${listed} rows chosen` : "Tick rows for a figure.";
  find(".compare-figure").disabled = !listed;
  find(".compare-none").hidden = !listed;
}

// said: what the visitor may still be reading.
async function start(said = "") {
  const shell = find(".compare");
  if (!shell) return;
  run += 1;
  query = JSON.parse(shell.dataset.query);
  finished = true;
  order = [];
  wanted = [];
  watcher?.disconnect();
  layOut();
  find(".compare").setAttribute("aria-busy", "true");
  say(said || "The photos are being sorted.");
  const mine = run, answer = await ask("arrange", query);
  if (!answer) return;
  find(".compare").removeAttribute("aria-busy");
  if (answer.error) return say(answer.error);
  say(said);
  order = answer.order;
  find(".compare-head").innerHTML = answer.head;
  count();
  const list = find(".compare-list");
  watcher = new IntersectionObserver(move, { rootMargin: NEAR });
  for (let first = 0; first < order.length; first += CHUNK) {
    const chunk = document.createElement("div");
    chunk.className = "compare-chunk";
    chunk.dataset.first = first;
    list.append(chunk);
    if (first === 0) fill(chunk, answer.rows);
  }
  // What the first rows are high the others are about, too: the scroll bar tells the truth from the beginning.
  const height = list.firstElementChild?.offsetHeight || 0;
  for (const chunk of list.children) {
    if (!chunk.dataset.filled) chunk.style.minHeight = `${height}px`;
    watcher.observe(chunk);
  }
  progress(answer.progress);
  poll(mine);
}

function move(entries) {
  for (const { target: chunk, isIntersecting } of entries) {
    chunk.near = isIntersecting;
    if (isIntersecting) load(chunk);
    else if (chunk.dataset.filled && !chunk.contains(document.activeElement) && chunk.offsetHeight) {
      chunk.style.minHeight = `${chunk.offsetHeight}px`;
      chunk.replaceChildren();
      delete chunk.dataset.filled;
    }
  }
}

const indicesOf = (chunk) => order.slice(Number(chunk.dataset.first), Number(chunk.dataset.first) + CHUNK);

// Two at a time, the last wanted first; who scrolls past a chunk does not want it any more.
function load(chunk) {
  if (chunk.dataset.filled || wanted.includes(chunk)) return;
  wanted.push(chunk);
  if (loading < AT_ONCE) work();
}

async function work() {
  loading += 1;
  await pause(60);
  while (wanted.length) {
    const chunk = wanted.pop();
    if (!chunk.near || !chunk.isConnected || chunk.dataset.filled) continue;
    const answer = await ask("rows", { query, indices: indicesOf(chunk) });
    if (answer?.error) say(answer.error);
    else if (answer && chunk.near && chunk.isConnected) fill(chunk, answer.rows);
  }
  loading -= 1;
}

function fill(chunk, rows) {
  chunk.innerHTML = indicesOf(chunk).map((index) => rows[index] || "").join("");
  chunk.dataset.filled = "yes";
  chunk.style.minHeight = "";
  for (const row of chunk.children) dress(row);
}

// What the visitor has done to a row stays, whenever it is drawn anew.
function dress(row) {
  const index = Number(row.dataset.index), box = row.querySelector("[data-choose]"), button = row.querySelector("[data-enlarge]");
  if (box) box.checked = chosen.has(index);
  row.classList.toggle("large", enlarged.has(index));
  if (button) button.textContent = enlarged.has(index) ? "Shrink" : "Enlarge";
}

function progress(answer) {
  const grown = answer.done !== done;
  done = answer.done;
  find(".compare-progress").innerHTML = answer.html;
  if (answer.failed) {
    find(".compare-again").textContent = "Try again";
    find(".compare-again").hidden = false;
  } else if (answer.finished && !finished) ready();
  finished = answer.finished;
  return grown;
}

// Once everything is made the order is another one. Who is reading is not disturbed.
function ready() {
  const atTop = find(".compare-list").getBoundingClientRect().top > -200;
  const busy = find(".compare-list").contains(document.activeElement);
  if (atTop && !busy && query.order !== "name") start(find(".compare-say").textContent);
  else find(".compare-again").hidden = false;
}

async function poll(mine) {
  while (mine === run && !finished) {
    await pause(POLL);
    if (mine !== run || finished) return;
    if (!element.isConnected) return;
    if (document.hidden || !element.offsetParent) continue;
    const answer = await ask("progress", query);
    if (!answer) return;
    if (answer.error) return say(answer.error);
    if ((progress(answer) || answer.failed) && mine === run) await refresh();
  }
}

// Rows in which a prediction was still missing.
async function refresh() {
  if (filling) return;
  filling = true;
  for (const chunk of element.querySelectorAll(".compare-chunk[data-filled]")) {
    const waiting = [...chunk.querySelectorAll("[data-waiting]")].map((row) => Number(row.dataset.index));
    if (!waiting.length) continue;
    const answer = await ask("rows", { query, indices: waiting });
    if (!answer) break;
    for (const [index, html] of Object.entries(answer.rows || {})) {
      const row = chunk.querySelector(`[data-index="${index}"]`);
      if (!row) continue;
      const focus = row.contains(document.activeElement) ? (document.activeElement.matches("[data-choose]") ? "[data-choose]" : "[data-enlarge]") : "";
      row.insertAdjacentHTML("afterend", html);
      const fresh = row.nextElementSibling;
      row.remove();
      dress(fresh);
      if (focus) fresh.querySelector(focus)?.focus({ preventScroll: true });
    }
  }
  filling = false;
}

async function figure() {
  const button = find(".compare-figure"), text = button.textContent;
  button.disabled = true;
  button.textContent = "The figure is being drawn …";
  const answer = await ask("figure", { query, indices: order.filter((index) => chosen.has(index)) });
  button.textContent = text;
  button.disabled = false;
  if (!answer) return;
  if (answer.error) return say(answer.error);
  const address = URL.createObjectURL(await (await fetch(answer.uri)).blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: answer.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

function enlarge(row) {
  const index = Number(row.dataset.index);
  if (!enlarged.delete(index)) enlarged.add(index);
  dress(row);
}

element.addEventListener("click", (event) => {
  const row = event.target.closest(".compare-row");
  if (!away) say("");
  if (event.target.closest(".compare-figure")) figure();
  else if (event.target.closest(".compare-again")) start();
  else if (event.target.closest(".compare-none")) {
    chosen.clear();
    for (const box of element.querySelectorAll("[data-choose]")) box.checked = false;
    count();
    find("[data-choose]")?.focus({ preventScroll: true });
  } else if (row && (event.target.closest("[data-enlarge]") || event.target.closest(".compare-picture"))) enlarge(row);
});

element.addEventListener("change", (event) => {
  if (!event.target.matches("[data-choose]")) return;
  const index = Number(event.target.closest(".compare-row").dataset.index);
  if (event.target.checked) chosen.add(index);
  else chosen.delete(index);
  count();
});

// The arrow keys go from row to row.
element.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches("[data-choose]")) return;
  event.preventDefault();
  const boxes = [...element.querySelectorAll("[data-choose]")];
  const next = boxes[boxes.indexOf(event.target) + step];
  next?.focus({ preventScroll: true });
  next?.closest(".compare-row").scrollIntoView({ block: "center" });
});

watch("value", () => start());
start();
