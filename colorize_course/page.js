(() => {
  const root = document.currentScript.closest(".colorize-course");
  const status = root.querySelector("[role=status]");
  const kept = (window.colorizeCourse ??= {});
  const changed = "colorize-course-changed";

  // The browser keeps what was answered; where it may not, the page does, until it is closed.
  function load(key) {
    try { return JSON.parse(localStorage.getItem("colorize-course/" + key)); } catch { return kept[key] ?? null; }
  }
  function save(key, value) {
    kept[key] = value;
    try { localStorage.setItem("colorize-course/" + key, JSON.stringify(value)); } catch { /* the page keeps it */ }
    window.dispatchEvent(new Event(changed));
  }

  function predict() {
    const buttons = [...root.querySelectorAll("button")], key = root.dataset.key;
    const shown = folded();
    function show(guess) {
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === guess));
      if (guess === null) return;
      status.textContent = "Noted. " + (shown ? "What came out is open now, below." : "Now run the next cell.");
      shown?.();
    }
    buttons.forEach((button, i) => button.onclick = () => { save(key, i); show(i); });
    show(load(key));
  }

  // In a rendered page nobody runs the next cell: its output waits for the guess.
  function folded() {
    const cell = root.closest(".jp-Cell, .cell");
    let next = cell?.nextElementSibling;
    if (!next || document.querySelector(".jp-LabShell, .jp-NotebookShell, #main-panel")) return null;
    while (next && !next.matches(".celltag_predicted")) next = next.matches(".celltag_predict") ? null : next.nextElementSibling;
    const output = next?.querySelector(".jp-Cell-outputWrapper");
    if (!output) return null;
    output.style.display = "none";
    return () => output.style.display = "";
  }

  function quiz() {
    const items = [...root.querySelectorAll("li")], key = root.dataset.key;
    function answerOf(item) {
      const typed = item.querySelector("input[type=text]");
      return typed ? typed.value.trim() : item.querySelector("input:checked")?.value ?? "";
    }
    function right(item) {
      const answer = answerOf(item).replace(",", ".").replace("%", "");
      return answer !== "" && Math.abs(Number(answer) - Number(item.dataset.right)) <= Number(item.dataset.within ?? 0) + 1e-9;
    }
    function mark() {
      for (const item of items) {
        const answered = answerOf(item) !== "";
        item.querySelector("b").textContent = answered ? (right(item) ? "✓ right" : "✗ not quite") : "– no answer yet";
        item.querySelector("details").open = answered;
      }
      const score = items.filter(right).length;
      status.textContent = `${score} of ${items.length} right.` + (score === items.length ? " Well done!" : "");
    }
    function restore(answers) {
      items.forEach((item, i) => {
        for (const input of item.querySelectorAll("input")) {
          if (input.type === "text") input.value = answers[i]; else input.checked = input.value === answers[i];
        }
      });
    }
    root.querySelector("button").onclick = () => {
      mark();
      save(key, { answers: items.map(answerOf), right: items.filter(right).length, of: items.length });
    };
    const before = load(key);
    if (before?.answers?.length === items.length) { restore(before.answers); mark(); }
  }

  function summary() {
    const predictions = JSON.parse(root.dataset.predictions), list = root.querySelector("ul");
    function show() {
      if (!root.isConnected) return window.removeEventListener(changed, show);
      const guesses = predictions.map(one => load(one.key));
      const made = guesses.filter(guess => guess !== null).length;
      const right = predictions.filter((one, i) => guesses[i] === one.right).length;
      const marks = load(root.dataset.key);
      status.textContent = (made ? `Your guesses: ${right} of ${made} right` : "Your guesses: none yet")
        + (0 < made && made < predictions.length ? `, ${predictions.length - made} not made. ` : ". ")
        + (marks ? `Your quiz: ${marks.right} of ${marks.of}.` : "Your quiz: not marked yet.");
      list.innerHTML = predictions.map((one, i) => guesses[i] === null ? "" :
        `<li>${guesses[i] === one.right ? "✓" : "✗"} ${one.asks} You said: ${one.options[guesses[i]]}`
        + (guesses[i] === one.right ? "" : `. It is: ${one.options[one.right]}`) + "</li>").join("");
    }
    window.addEventListener(changed, show);
    show();
  }

  // JupyterLab leaves the keys to an element that says so itself.
  root.querySelectorAll("button, input, summary").forEach(one => one.setAttribute("data-lm-suppress-shortcuts", "true"));
  const start = ({ predict, quiz, summary })[root.dataset.kind];
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
