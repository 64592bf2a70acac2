// Gradio counts the visitors who wait, in a tracker over what they wait for. Here the same is said in a sentence: `element`
// stands beside that, in one row or column. What waits for a moment only, as on an idle server, is not worth a word.
const PATIENCE_MILLISECONDS = 700;
const row = element.closest(".queued"), told = element.querySelector("output");
let due = null;

function place() {
  // How many wait in all, the second number, nobody is told anew when one more comes: it would soon be wrong.
  const [, number] = /queue: (\d+)\//.exec(row.querySelector(".progress-text")?.textContent) ?? [];
  // Gradio leaves out the one that is being answered, who is the first.
  return number && `The page is busy: yours is number ${Number(number) + 1} in the queue.`;
}

function say() {
  due = null;
  const words = place() ?? "";
  if (told.textContent !== words) told.textContent = words;
}

new MutationObserver(() => {
  if (told.textContent) say();
  else if (place()) due ??= setTimeout(say, PATIENCE_MILLISECONDS);
}).observe(row, { childList: true, characterData: true, subtree: true });
