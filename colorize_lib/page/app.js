// The page: files in, cards with a before/after slider, files out.  What colours is an engine:
// the worker in this browser, or, behind `colorize serve`, the Python library on this computer.

import { downloadZip } from "./vendor/client-zip.js";

const $ = (id) => document.getElementById(id);
const photos = new Map(); // id → {file, card, version, result}
const SUFFIX = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/tiff": "tif", "image/bmp": "bmp" };
const RESOLUTIONS = [192, 256, 320, 384, 512];
let next = 1;

const config = await (await fetch("config.json")).json();
const engine = config.engine === "server" ? serverEngine() : workerEngine();

for (const n of new Set([...RESOLUTIONS, config.resolution].sort((a, b) => a - b))) {
  const note = n === config.resolution ? ": suits the network" : n > config.resolution ? ": finer, less sure" : ": calmer";
  $("resolution").add(new Option(`${n}${note}`, n, n === config.resolution, n === config.resolution));
}
if (config.engine === "server") {
  $("promise").textContent = "Stays on this computer";
  $("lead").textContent = "A small neural network looks at the light in your photo and suggests the colour that was lost. " +
    "It runs on this computer. Your photos stay on it.";
}

// --- choosing -------------------------------------------------------------

const drop = $("drop");
$("files").addEventListener("change", ({ target }) => {
  add(target.files);
  target.value = ""; // so that the same photo can be chosen again
});
for (const event of ["dragover", "drop"]) addEventListener(event, (e) => e.preventDefault()); // a miss must not leave the page
addEventListener("dragover", () => drop.classList.add("over"));
addEventListener("dragleave", (e) => e.relatedTarget ?? drop.classList.remove("over"));
addEventListener("drop", (e) => {
  drop.classList.remove("over");
  add(e.dataTransfer.files);
});
addEventListener("paste", (e) => add(e.clipboardData.files));
for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", async () => {
    const blob = await (await fetch(button.dataset.sample)).blob();
    add([new File([blob], button.dataset.sample.split("/").pop(), { type: blob.type })]);
  });
}

function add(files) {
  for (const file of files) {
    const id = next++;
    const card = $("card").content.firstElementChild.cloneNode(true);
    const part = (selector) => card.querySelector(selector);
    part(".name").textContent = file.name;
    part(".before").src = URL.createObjectURL(file);
    part(".before").alt = `${file.name}, before`;
    part(".after").alt = `${file.name}, in colour`;
    part(".before").addEventListener("load", ({ target }) => {
      part(".pair").style.setProperty("--ratio", target.naturalWidth / target.naturalHeight);
    });
    part(".before").addEventListener("error", () => card.classList.add("blind")); // e.g. a TIFF that only the server reads
    part(".split").setAttribute("aria-label", `${file.name}: before and in colour; how much is before`);
    part(".split").setAttribute("aria-valuetext", "50% before");
    part(".split").addEventListener("input", ({ target }) => {
      part(".pair").style.setProperty("--at", `${target.value}%`);
      target.setAttribute("aria-valuetext", `${target.value}% before`);
      part(".tag.left").style.opacity = target.value < 18 ? 0 : 1;
      part(".tag.right").style.opacity = target.value > 82 ? 0 : 1;
    });
    part("progress").setAttribute("aria-label", `${file.name}: progress`);
    $("photos").append(card);
    photos.set(id, { file, card });
    start(id);
  }
  show();
}

// --- colouring ------------------------------------------------------------

function start(id) {
  const photo = photos.get(id);
  photo.result = photo.error = null;
  photo.card.classList.add("working");
  photo.card.querySelector(".save").hidden = true;
  photo.card.querySelector("progress").removeAttribute("value");
  say(photo, "waiting");
  photo.version = (photo.version ?? 0) + 1;
  engine.colour({ id, version: photo.version, file: photo.file, saturation: +$("saturation").value, resolution: +$("resolution").value });
}

function progress(id, share) {
  const photo = photos.get(id);
  if (!photo?.card.classList.contains("working")) return;
  photo.card.querySelector("progress").value = share;
  say(photo, `colouring: ${Math.round(share * 100)}%`);
}

function done(id, version, { blob, width, height, error }) {
  const photo = photos.get(id);
  if (!photo || photo.version !== version) return; // cleared, or asked for anew
  const { card, file } = photo;
  card.classList.remove("working");
  if (error) {
    photo.error = error;
    card.classList.add("failed");
    say(photo, error);
    return show();
  }
  const after = card.querySelector(".after"), save = card.querySelector(".save");
  URL.revokeObjectURL(after.src);
  photo.result = { blob, name: `${file.name.replace(/\.[^.]*$/, "")} in colour.${suffix(file, blob)}` };
  after.src = save.href = URL.createObjectURL(blob);
  save.download = photo.result.name;
  save.setAttribute("aria-label", `Download ${photo.result.name}`);
  save.hidden = false;
  card.classList.add("done");
  const facts = [width && `${width} × ${height}`, SUFFIX[blob.type]?.toUpperCase(), bytes(blob.size)].filter(Boolean);
  say(photo, facts.map((fact) => fact.replaceAll(" ", "\u00a0")).join(" · ")); // lines break between facts
  show();
}

const say = (photo, text) => { photo.card.querySelector(".about").textContent = text; };
const bytes = (n) => n < 1e6 ? `${Math.ceil(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`;

function suffix(file, blob) {
  const own = file.name.match(/\.([^.]+)$/)?.[1];
  return own && blob.type === file.type ? own : SUFFIX[blob.type] ?? "png";
}

function workerEngine() {
  const worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => "progress" in data ? progress(data.id, data.progress) : done(data.id, data.version, data);
  worker.onerror = () => { $("summary").textContent = "The network could not be loaded: reload the page, or take a newer browser."; };
  return { colour: (wish) => worker.postMessage(wish), forget: (id) => worker.postMessage({ forget: id }) };
}

function serverEngine() {
  let queue = Promise.resolve();
  async function colour({ id, version, file, saturation, resolution }) {
    if (photos.get(id)?.version !== version) return;
    say(photos.get(id), "colouring");
    const query = new URLSearchParams({ name: file.name, saturation, resolution });
    try {
      const answer = await fetch(`api/colour?${query}`, { method: "POST", body: file });
      if (!answer.ok) return done(id, version, await answer.json());
      const [width, height] = answer.headers.get("X-Size").split("x");
      done(id, version, { blob: await answer.blob(), width, height });
    } catch {
      done(id, version, { error: `${file.name} could not be sent to this computer's colorize: is it still running?` });
    }
  }
  return { colour: (wish) => { queue = queue.then(() => colour(wish)); }, forget: () => {} };
}

// --- for all --------------------------------------------------------------

$("saturation").addEventListener("input", ({ target }) => { $("saturation-value").value = (+target.value).toFixed(2); });
for (const name of ["saturation", "resolution"]) {
  $(name).addEventListener("change", () => {
    for (const [id, photo] of photos) if (!photo.error) start(id);
    show();
  });
}

$("clear").addEventListener("click", () => {
  for (const [id, { card }] of photos) {
    engine.forget(id);
    for (const image of card.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    card.remove();
  }
  photos.clear();
  show();
  $("files").focus();
});

$("zip").addEventListener("click", async () => {
  const taken = new Map();
  const files = [...photos.values()].filter((photo) => photo.result).map(({ result }) => {
    const before = taken.get(result.name) ?? 0;
    taken.set(result.name, before + 1);
    return { input: result.blob, name: before ? result.name.replace(/(\.[^.]+)$/, ` (${before + 1})$1`) : result.name };
  });
  const link = Object.assign(document.createElement("a"), { download: "in colour.zip" });
  link.href = URL.createObjectURL(await downloadZip(files).blob());
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

function show() {
  const all = [...photos.values()];
  const ready = all.filter((photo) => photo.result).length, failed = all.filter((photo) => photo.error).length;
  document.body.classList.toggle("busy", all.length > 0);
  $("bench").hidden = all.length === 0;
  $("zip").disabled = ready === 0 || ready + failed < all.length;
  $("summary").textContent = `${ready} of ${all.length} ${all.length === 1 ? "photo" : "photos"} in colour` +
    (failed ? `, ${failed} could not be read` : "") + ".";
}

if (config.engine !== "server") navigator.serviceWorker?.register("sw.js", { type: "module" });
document.documentElement.dataset.ready = ""; // for tests: everything above is in place
