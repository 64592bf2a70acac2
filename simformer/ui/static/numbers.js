// A number leads to the run behind it, further down. Not left to the browser: the page has a base address, without what
// the page's own address says of tab and roles, so following "#..." would load the page anew.
element.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  const run = link && document.getElementById(link.getAttribute("href").slice(1))?.closest("details");
  if (!run) return;
  event.preventDefault();
  for (let part = run; part; part = part.parentElement.closest("details")) part.open = true;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  run.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  run.querySelector("summary").focus({ preventScroll: true });
});
