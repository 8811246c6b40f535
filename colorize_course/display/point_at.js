// A photo to point at: each point is a hint, which can get another colour, and be taken away.
const STEP = 0.02; // of the photo's side, for the arrow keys

const make = (parent, tag, properties = {}) =>
  parent.appendChild(Object.assign(document.createElement(tag), properties));

function render({ model, el }) {
  const root = make(el, "div");
  root.style.cssText = "max-width:640px;font:14px system-ui,sans-serif";
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the keys to us

  const tools = make(root, "div");
  tools.style.cssText = "display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:0 0 8px";
  const label = make(tools, "label", { textContent: "Colour " });
  const colour = make(label, "input", { type: "color", value: "#8b1a2b" });
  const undo = make(tools, "button", { textContent: "Undo" });
  const clear = make(tools, "button", { textContent: "Clear" });
  for (const button of [undo, clear]) button.className = "jupyter-button widget-button";
  make(tools, "span", { textContent: "Point at the photo; or arrow keys and Enter." });

  const photo = make(root, "div", { tabIndex: 0 });
  photo.setAttribute("role", "group");
  photo.setAttribute("aria-label", "Photo to point at: arrow keys move the cross, Enter sets a hint there");
  photo.style.cssText = "position:relative;display:inline-block;line-height:0;max-width:100%;cursor:crosshair;touch-action:manipulation";
  const image = make(photo, "img", { alt: "The photo, coloured with the hints", draggable: false });
  image.style.cssText = "max-width:100%;margin:0";
  const marks = make(photo, "div");
  const cross = make(photo, "div", { textContent: "+" });
  cross.style.cssText = "position:absolute;font:bold 26px/0 monospace;color:white;text-shadow:0 0 3px black;transform:translate(-50%,0);pointer-events:none;display:none";
  const said = make(root, "p");
  said.setAttribute("role", "status");
  said.style.margin = "6px 0";
  const list = make(root, "ul");
  list.style.cssText = "list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:4px 14px";

  const past = [];
  const points = () => model.get("points");
  const rounded = (share) => Math.round(Math.min(1, Math.max(0, share)) * 1e4) / 1e4;
  const at = { x: 0.5, y: 0.5 };

  function change(next) {
    past.push(points());
    show(next);
  }

  function show(next) {
    model.set("points", next);
    model.save_changes();
  }

  function add(x, y) {
    change([...points(), { x: rounded(x), y: rounded(y), colour: colour.value }]);
  }

  photo.addEventListener("click", (event) => {
    const box = image.getBoundingClientRect();
    add((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  photo.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) {
      at.x = rounded(at.x + move[0] * STEP);
      at.y = rounded(at.y + move[1] * STEP);
      cross.style.display = "block";
    } else if (event.key === "Enter") add(at.x, at.y);
    else return;
    event.preventDefault();
    event.stopPropagation();
    place(cross, at);
  });
  photo.addEventListener("blur", () => (cross.style.display = "none"));
  undo.addEventListener("click", () => past.length && show(past.pop()));
  clear.addEventListener("click", () => points().length && change([]));

  function place(mark, { x, y }) {
    mark.style.left = `${x * 100}%`;
    mark.style.top = `${y * 100}%`;
  }

  function draw() {
    marks.replaceChildren();
    list.replaceChildren();
    points().forEach((point, i) => {
      const mark = make(marks, "div");
      mark.style.cssText = "position:absolute;width:10px;height:10px;margin:-7px;border:2px solid white;outline:1px solid black;border-radius:50%;pointer-events:none";
      mark.style.background = point.colour;
      place(mark, point);
      const item = make(list, "li");
      const name = `hint ${i + 1}`;
      const other = make(item, "input", { type: "color", value: point.colour, ariaLabel: `Colour of ${name}` });
      other.addEventListener("change", () =>
        change(points().map((one, j) => (j === i ? { ...one, colour: other.value } : one))),
      );
      const away = make(item, "button", { textContent: "×", ariaLabel: `Take ${name} away` });
      away.addEventListener("click", () => change(points().filter((_, j) => j !== i)));
    });
    undo.disabled = !past.length;
    clear.disabled = !points().length;
  }

  function paint() {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([model.get("picture")], { type: "image/png" }));
  }

  const tell = () => (said.textContent = model.get("said"));
  model.on("change:points", draw);
  model.on("change:picture", paint);
  model.on("change:said", tell);
  draw();
  paint();
  tell();
  return () => URL.revokeObjectURL(image.src);
}

export default { render };
