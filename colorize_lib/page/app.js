// The page: files in, cards with a before/after slider, files out.  What colours is an engine:
// the worker in this browser, or, behind `colorize serve`, the Python library on this computer.

import { downloadZip } from "./vendor/client-zip.js";

const $ = (id) => document.getElementById(id);
const photos = new Map(); // id → {file, card, version, result, error, again}
const SUFFIX = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/tiff": "tif", "image/bmp": "bmp" };
const RESOLUTIONS = [192, 256, 320, 384, 512];
const PHOTOS = [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif", ".heic", ".heif", ".tif", ".tiff"];
const SYSTEMS = new Set([ // thumbnails and bins
  "@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "recycler",
  "system volume information", "__macosx", "lost+found",
]);
const NO_START = "The part of this page that colours could not be started: check your connection, then try again, or take a newer browser " +
  "(Chrome, Edge, Firefox 114, Safari 16.4)";
let next = 1;

const tell = (text) => { // what concerns no single photo
  $("notice").classList.remove("asleep");
  $("notice").textContent = text;
};
const config = await fetched("config.json").then((answer) => answer.json()).catch((error) => {
  tell("The page could not be loaded whole (config.json): check your connection, then reload it.");
  throw error;
});
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

if (!config.samples) $("samples").hidden = $("credits").hidden = true;

async function fetched(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
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
  take(e.dataTransfer);
});
addEventListener("paste", (e) => take(e.clipboardData));
for (const button of document.querySelectorAll("[data-sample]")) {
  const name = button.dataset.sample.split("/").pop();
  button.addEventListener("click", async () => {
    try {
      const blob = await (await fetched(button.dataset.sample)).blob();
      add([new File([blob], name, { type: blob.type })]);
    } catch {
      tell(`${name} could not be loaded: check your connection, then try again.`);
    }
  });
}

async function take(transfer) {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.()); // at once: they are gone after the first await
  const files = items.filter((_, i) => !entries[i]?.isDirectory).map((item) => item.getAsFile());
  if (!items.length) {
    return tell("There was no photo in that, only an address or text: save the picture first, then drop or choose its file.");
  }
  add(files);
  for (const folder of entries.filter((entry) => entry?.isDirectory)) {
    const found = { photos: [], others: 0, unread: 0 };
    await look(folder, found);
    add(found.photos.sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true })).map(({ file }) => file));
    const left = [[found.others, "other file"], [found.unread, "unreadable file"]].filter(([n]) => n).map(([n, word]) => count(n, word));
    if (left.length || !found.photos.length) tell([`${count(found.photos.length, "photo")} in ${folder.name}`, ...left].join(", left out: ") + ".");
  }
}

async function look(folder, found) {
  const reader = folder.createReader();
  const some = () => new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
  try {
    for (let entries = await some(); entries.length; entries = await some()) {
      for (const entry of entries) {
        if (entry.name.startsWith(".") || SYSTEMS.has(entry.name.toLowerCase())) continue;
        if (entry.isDirectory) await look(entry, found);
        else if (!(config.suffixes ?? PHOTOS).some((suffix) => entry.name.toLowerCase().endsWith(suffix))) found.others++;
        else {
          const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
          if (file) found.photos.push({ file, path: entry.fullPath });
          else found.unread++;
        }
      }
    }
  } catch {
    found.unread++; // a folder
  }
}

function add(files) {
  tell("");
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
    part(".again").addEventListener("click", () => {
      start(id);
      show();
    });
    part(".again").setAttribute("aria-label", `Try ${file.name} again`);
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
  photo.card.classList.remove("failed");
  photo.card.querySelector(".save").hidden = photo.card.querySelector(".again").hidden = true;
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

function done(id, version, { blob, width, height, notes = [], error, again = false }) {
  const photo = photos.get(id);
  if (!photo || photo.version !== version) return; // cleared, or asked for anew
  const { card, file } = photo;
  card.classList.remove("working");
  if (error) {
    Object.assign(photo, { error, again });
    card.classList.remove("done");
    card.classList.add("failed");
    card.querySelector(".again").hidden = !again;
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
  say(photo, [...facts.map((fact) => fact.replaceAll(" ", "\u00a0")), ...notes].join(" · ")); // lines break between facts
  show();
}

const say = (photo, text) => { photo.card.querySelector(".about").textContent = text; };
const count = (n, word) => `${n || "no"} ${word}${n === 1 ? "" : "s"}`;
const bytes = (n) => n < 1e6 ? `${Math.ceil(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`;

function suffix(file, blob) {
  const own = file.name.match(/\.([^.]+)$/)?.[1];
  return own && blob.type === file.type ? own : SUFFIX[blob.type] ?? "png";
}

// A worker that is broken (it did not start, something did not arrive, memory ran out) is given up: the photo in work
// gets the sentence, and the others a new worker, in which all is tried again.
function workerEngine() {
  const waiting = new Map(); // id → wish, the oldest first
  let worker = null;

  function begin() {
    if (worker) return;
    try {
      const own = worker = new Worker("worker.js", { type: "module" });
      own.onmessage = ({ data }) => { if (own === worker) heard(data); };
      own.onerror = () => { if (own === worker) heard({ broken: NO_START }); };
      for (const wish of waiting.values()) own.postMessage(wish);
    } catch {
      heard({ broken: NO_START });
    }
  }

  function heard({ progress: share, broken, ...result }) {
    if (share !== undefined) return progress(result.id, share);
    if (broken) {
      worker?.terminate();
      worker = null;
      const [first] = waiting.values();
      result = { id: first?.id, version: first?.version, ...result, error: broken, again: true };
    }
    if (waiting.get(result.id)?.version === result.version) waiting.delete(result.id);
    if (result.id) done(result.id, result.version, result);
    if (!worker && waiting.size) setTimeout(begin); // not within the last one's end: there may be many
  }

  begin();
  return {
    colour(wish) {
      waiting.delete(wish.id);
      waiting.set(wish.id, wish);
      if (worker) worker.postMessage(wish);
      else if (waiting.size === 1) begin();
    },
    forget(id) {
      waiting.delete(id);
      worker?.postMessage({ forget: id });
    },
  };
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
      const there = await file.slice(0, 1).arrayBuffer().catch(() => null);
      const why = there ? "could not be sent to this computer's colorize: see that it still runs, then try again"
        : "cannot be read: if it was moved or changed, choose it again";
      done(id, version, { error: `${file.name} ${why}`, again: Boolean(there) });
    }
  }
  return { colour: (wish) => { queue = queue.then(() => colour(wish)); }, forget: () => {} };
}

// --- for all --------------------------------------------------------------

$("saturation").addEventListener("input", ({ target }) => { $("saturation-value").value = (+target.value).toFixed(2); });
for (const name of ["saturation", "resolution"]) {
  $(name).addEventListener("change", () => {
    for (const [id, photo] of photos) if (!photo.error || photo.again) start(id);
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
  tell("");
  show();
  $("files").focus();
});

$("zip").addEventListener("click", async () => {
  const taken = new Set(); // as Windows and macOS compare names
  const files = [...photos.values()].filter((photo) => photo.result).map(({ result: { blob, name } }) => {
    const key = (name) => name.normalize().toLowerCase();
    let free = name;
    for (let n = 2; taken.has(key(free)); n++) free = name.replace(/(\.[^.]+)$/, ` (${n})$1`);
    taken.add(key(free));
    return { input: blob, name: free };
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
  $("summary").textContent = `${ready} of ${count(all.length, "photo")} in colour` +
    (failed ? `, ${failed} could not be coloured` : "") + ".";
}

if (config.engine !== "server") navigator.serviceWorker?.register("sw.js", { type: "module" }).catch(() => {}); // then it is no page for offline use
tell(""); // what index.html says until here
document.documentElement.dataset.ready = ""; // for tests: everything above is in place
