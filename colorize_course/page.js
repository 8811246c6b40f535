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
    const buttons = [...root.querySelectorAll("button")], typed = root.querySelector("input"), key = root.dataset.key;
    const shown = folded();
    function show(guess) {
      if (typeof guess !== "string") return;
      if (typed) typed.value = guess;
      else buttons.forEach(button => button.setAttribute("aria-pressed", button.textContent === guess));
      status.textContent = "Noted. " + (shown ? "What came out is open now, below." : "Now run the next cell.");
      shown?.();
    }
    function note(guess) {
      if (typed && !(number(guess) < Infinity)) status.textContent = "A number, please, such as 12 or 0.5.";
      else { save(key, guess); show(guess); }
    }
    buttons.forEach(button => button.onclick = () => note(typed ? typed.value.trim() : button.textContent));
    if (typed) typed.onkeydown = event => { if (event.key === "Enter") note(typed.value.trim()); };
    show(load(key));
  }

  // A number as it is typed: with a comma or a point, with or without %.
  function number(typed) {
    return typed === "" ? NaN : Number(typed.replace(",", ".").replace("%", ""));
  }
  function near(typed, right, within) {
    return Math.abs(number(typed) - right) <= within + 1e-9;
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
      return near(answerOf(item), Number(item.dataset.right), Number(item.dataset.within ?? 0));
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
    function right(one, guess) {
      return typeof one.right === "number" ? near(guess, one.right, one.within) : guess === one.right;
    }
    function plain(text) {
      return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
    }
    function show() {
      if (!root.isConnected) return window.removeEventListener(changed, show);
      const made = predictions.map(one => [one, load(one.key)]).filter(([, guess]) => typeof guess === "string");
      const good = made.filter(([one, guess]) => right(one, guess)).length;
      const marks = load(root.dataset.key);
      status.textContent = (made.length ? `Your guesses: ${good} of ${made.length} right` : "Your guesses: none yet")
        + (0 < made.length && made.length < predictions.length ? `, ${predictions.length - made.length} not made. ` : ". ")
        + (marks ? `Your quiz: ${marks.right} of ${marks.of}.` : "Your quiz: not marked yet.");
      list.innerHTML = made.map(([one, guess]) => `<li>${right(one, guess) ? "✓" : "✗"} ${one.asks} You said: ${plain(guess)}`
        + (right(one, guess) && !one.within ? "" : `. It is: ${one.answer}`) + "</li>").join("");
    }
    window.addEventListener(changed, show);
    show();
  }

  // JupyterLab leaves the keys to an element that says so itself.
  root.querySelectorAll("button, input, summary").forEach(one => one.setAttribute("data-lm-suppress-shortcuts", "true"));
  const start = ({ predict, quiz, summary })[root.dataset.kind];
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
