// Runs once, with `element`, the button that copies the link. Settings are written into the page's address as they are
// made: each a step for back and forward, but what is changed again within a second stays one step.
const STEP_MILLISECONDS = 1000;
// Controls that hold one setting together are set one after the other: what they say in between is nobody's choice.
const SETTLED_MILLISECONDS = 150;
let defaults = null, last = { name: "", time: 0 };
const early = new Map(), waiting = new Map();

function known(name) {
  return new URL(window.location).searchParams.get(name) ?? defaults[name];
}

function write(name, value) {
  if (String(value) === known(name)) return;
  const address = new URL(window.location), now = Date.now();
  address.searchParams.set(name, value);
  const same = last.name === name && now - last.time < STEP_MILLISECONDS;
  window.history[same ? "replaceState" : "pushState"](null, "", address);
  last = { name, time: now };
}

window.studioAddress = {
  // A page that opens shows its first tab, and sets what its address asks for: nothing of it is news to the address.
  // What it does not ask for and is set by then, a quick visitor has chosen.
  opened(ofSettings) {
    const asked = new URL(window.location).searchParams;
    defaults = ofSettings;
    for (const [name, value] of early) if (!asked.has(name)) this.set(name, value);
    early.clear();
  },
  set(name, value) {
    if (value === null || value === undefined) return;
    if (!defaults) {
      early.set(name, value);
      return;
    }
    clearTimeout(waiting.get(name));
    waiting.set(name, setTimeout(write, SETTLED_MILLISECONDS, name, value));
  },
};

window.addEventListener("popstate", () => {
  for (const timer of waiting.values()) clearTimeout(timer);
  last = { name: "", time: 0 };
  trigger("went", { settings: Object.fromEntries(new URL(window.location).searchParams) });
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // not allowed, or not there: only pages over HTTPS have it
    const field = Object.assign(document.createElement("textarea"), { value: text });
    field.style.cssText = "position:fixed;opacity:0";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

element.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy-link");
  if (!button) return;
  const told = element.querySelector("output"), link = window.location.href;
  const done = await copy(link).catch(() => false);
  button.focus();
  if (done) {
    told.textContent = "Copied";
    setTimeout(() => { told.textContent = ""; }, 3000);
    return;
  }
  // What nobody may copy for the visitor stands there to be copied by hand.
  const field = Object.assign(document.createElement("input"), { value: link, readOnly: true });
  field.setAttribute("aria-label", "Link to this page as it is now");
  told.replaceChildren(field);
  field.select();
});
