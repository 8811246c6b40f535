// Colours photos off the main thread, so that a big one does not freeze the page.
// No colour mathematics here: three ONNX graphs, traced from the Python library, do it (colorize_lib/engines/export.py).

import { keep, sizeOf } from "./metadata.js";

const BAND = 1 << 18; // pixels at a time: little memory for a photo of any size
const MOST_SEEN = 48e6; // bytes of colours that are kept for the sliders: two or three photos of 12 megapixels
const KEPT = { "image/jpeg": 0.95, "image/png": undefined, "image/webp": 0.95 }; // formats that a canvas writes, and their quality
const NEWER = "take a current Chrome, Edge or Firefox, or Safari 16.4 or newer";

// What is wrong with one photo, and what is wrong with this worker: the page then takes a new one for the next photo.
class PhotoError extends Error {}
class Broken extends Error {}
class Superseded extends Error {}

const jobs = new Map(); // id → the latest wish for a photo
const seen = new Map(); // id → the colours that the network saw in it; the photo used last is the last
let queue = Promise.resolve();

const ready = load();
ready.catch(({ message }) => postMessage({ broken: message }));

async function load() {
  const reason = whyNotHere();
  if (reason) throw new Broken(reason);
  const ort = await import("./vendor/ort.wasm.min.mjs").catch(() => { throw new Broken(notArrived("the runtime")); });
  ort.env.wasm.wasmPaths = new URL("vendor/", self.location).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  const config = JSON.parse(new TextDecoder().decode(await bytes("config.json")));
  const weights = { path: config.weights, data: await bytes(`model/${config.weights}`) };
  const steps = {};
  for (const name of config.steps) {
    const graph = await bytes(`model/${name}.onnx`);
    const options = { externalData: name === "colours" ? [weights] : [] };
    steps[name] = await ort.InferenceSession.create(graph, options).catch((error) => {
      throw new Broken(outOfMemory(error) ? NO_MEMORY : notArrived("its graphs or the runtime"));
    });
  }
  const tensor = (type, data, dims) => new ort.Tensor(type, data, dims);
  const whole = (...numbers) => BigInt64Array.from(numbers, (n) => BigInt(Math.round(n)));
  return { steps, tensor, whole, mark: config.mark, chroma: config.about.chroma };
}

const NO_MEMORY = "This browser has too little memory left: close other tabs, then try again";
const notArrived = (what) => `The colouring network could not be loaded (${what}): check your connection, then try again`;
const outOfMemory = (error) => error instanceof RangeError || /memory|allocation/i.test(error?.message ?? error);

async function bytes(name) {
  try {
    const answer = await fetch(name);
    if (!answer.ok) throw new Error(answer.status);
    return new Uint8Array(await answer.arrayBuffer());
  } catch {
    throw new Broken(notArrived(name));
  }
}

// A sentence about what this browser lacks or forbids, or nothing.
function whyNotHere() {
  // A function that multiplies 16 bytes at once.
  const simd = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);
  try {
    if (!WebAssembly.validate(simd)) return `This browser is too old for this page (its WebAssembly has no SIMD): ${NEWER}`;
    new WebAssembly.Module(simd);
  } catch {
    return "WebAssembly, which this page computes with, is switched off (Lockdown Mode, a setting of the browser, or a policy " +
      "of the server without 'wasm-unsafe-eval'): allow it for this page, or take another browser";
  }
  if (!self.createImageBitmap || !self.OffscreenCanvas?.prototype.convertToBlob) {
    return `This browser is too old for this page (it has no OffscreenCanvas): ${NEWER}`;
  }
  const context = new OffscreenCanvas(64, 4).getContext("2d", { willReadFrequently: true });
  if (!context) return `This browser is too old for this page (its OffscreenCanvas draws no photos): ${NEWER}`;
  for (let x = 0; x < 64; x++) {
    context.fillStyle = `rgb(${known(x).slice(0, 3)})`;
    context.fillRect(x, 0, 1, 4);
  }
  // A browser may hand out pixels of its own; some change the last bit alone, which nobody sees.
  const { data } = context.getImageData(0, 0, 64, 4);
  if (data.some((value, i) => Math.abs(value - known(i / 4 % 64 | 0)[i % 4]) > 4)) {
    return "This browser hides the pixels of photos from pages (protection against fingerprinting): allow this page to read " +
      "the canvas (in Firefox by the icon beside the address), then try again; or use `colorize serve`";
  }
}

function known(x) {
  return [4 * x, 255 - 3 * x, 64 + 2 * x, 255];
}

onmessage = ({ data }) => {
  if (data.forget) return void (jobs.delete(data.forget), seen.delete(data.forget));
  jobs.set(data.id, data);
  queue = queue.then(() => colour(data)).catch((error) => {
    if (error instanceof Superseded || error instanceof Broken) return; // said above
    const { id, version, file } = data;
    if (error instanceof PhotoError) return postMessage({ id, version, error: error.message });
    const why = outOfMemory(error) ? "memory runs out" : String(error?.message ?? error).slice(0, 100);
    const remedy = "close other tabs, or scale it down, then try again";
    postMessage({ id, version, broken: `${file.name} could not be coloured (${why}): ${remedy}` });
  });
};

async function colour(job) {
  const report = async (progress) => {
    postMessage({ id: job.id, progress });
    await new Promise((resume) => setTimeout(resume)); // lets a newer wish in
    if (jobs.get(job.id)?.version !== job.version) throw new Superseded();
  };
  await report(0.02);
  const { steps, tensor, whole, mark, chroma } = await ready;
  const canvas = await draw(job.file);
  const { width, height } = canvas;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rows = Math.max(1, Math.floor(BAND / width));
  const read = (top) => context.getImageData(0, top, width, Math.min(rows, height - top));
  const photo = ({ data, height }) => tensor("float32", planes(data), [3, height, width]);
  const white = tensor("float32", Float32Array.of(255), []);

  // The size at which the network sees the photo: about resolution² pixels.
  const scale = job.resolution / Math.sqrt(height * width);
  const [h, w] = [height, width].map((side) => Math.max(1, halfToEven(side * scale)));
  let colours = seen.get(job.id);
  if (colours?.resolution !== job.resolution) {
    const L = new Float32Array(height * w);
    for (let top = 0; top < height; top += rows) {
      const feeds = { photo: photo(read(top)), white, width: tensor("int64", whole(w), []) };
      L.set((await steps.lightness.run(feeds)).L.data, top * w);
      await report(0.05 + 0.25 * top / height);
    }
    const feeds = { L: tensor("float32", L, [height, w]), size: tensor("int64", whole(h, w), [2]), width: tensor("int64", whole(width), []) };
    const seen = await steps.colours.run(feeds);
    colours = { resolution: job.resolution, planes: seen.planes.data, rows: seen.rows.data };
  }
  if (jobs.has(job.id)) remember(job.id, colours);

  const five = tensor("float32", colours.planes, [5, h, width]);
  const saturation = tensor("float32", Float32Array.of(job.saturation * chroma), []);
  for (let top = 0; top < height; top += rows) {
    const band = read(top);
    const weights = colours.rows.subarray(top * h, (top + band.height) * h);
    const feeds = { photo: photo(band), white, planes: five, rows: tensor("float32", weights, [band.height, h]), saturation };
    fill(band.data, (await steps.paint.run(feeds)).coloured.data);
    context.putImageData(band, 0, top);
    await report(0.4 + 0.55 * (top + band.height) / height);
  }
  const type = job.file.type in KEPT ? job.file.type : "image/png";
  const { blob, notes } = await keep(job.file, await canvas.convertToBlob({ type, quality: KEPT[type] }), { width, height, mark });
  postMessage({ id: job.id, version: job.version, blob, width, height, notes });
}

// Red, green and blue one after the other, as the graphs take them, out of a canvas's RGBA …
function planes(rgba) {
  const count = rgba.length / 4;
  const out = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) out[c * count + i] = rgba[4 * i + c];
  return out;
}

// … and back; a canvas rounds what it is given.
function fill(rgba, colours) {
  const count = rgba.length / 4;
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) rgba[4 * i + c] = colours[c * count + i];
}

// The colours of the photos used last; of the others, the network is asked again when a slider moves.
function remember(id, colours) {
  seen.delete(id);
  seen.set(id, colours);
  const size = ({ planes, rows }) => planes.byteLength + rows.byteLength;
  let total = [...seen.values()].reduce((sum, some) => sum + size(some), 0);
  for (const [old, some] of seen) {
    if (total <= MOST_SEEN) break;
    total -= size(some);
    seen.delete(old);
  }
}

// Upright, as the EXIF orientation says; what is transparent is laid on white, as `colorize` does.
async function draw(file) {
  const bitmap = await createImageBitmap(file).catch(async () => { throw new PhotoError(await whyNot(file)); });
  const { width, height } = bitmap;
  try {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    if (context.getImageData(width - 1, height - 1, 1, 1).data[3] === 255) return canvas;
  } catch { // the browser's limits for a canvas, or no memory
  } finally {
    bitmap.close();
  }
  const large = width * height > 16e6 || Math.max(width, height) > 8192; // some browsers' limits
  throw new PhotoError(large ? tooLarge(file, width, height) : `${file.name} cannot be drawn by this browser: take another one`);
}

const tooLarge = ({ name }, width, height) =>
  `${name} has ${width} × ${height} pixels, too many for this browser: scale it down first`;

async function whyNot(file) {
  if (file.size === 0) return `${file.name} is empty (0 bytes): copy it again from where it came`;
  let head;
  try {
    head = new TextDecoder("latin1").decode(await file.slice(0, 32).arrayBuffer());
  } catch {
    return `${file.name} cannot be read: if it was moved or changed, choose it again; of a folder, drop the photos in it`;
  }
  if (/^....ftyp(hei|hev|mif|msf)/s.test(head) || /\.hei[cf]$/i.test(file.name)) {
    return `${file.name} is a HEIC photo, which this browser cannot read: export it as JPEG, and drop that`;
  }
  if (/^(II\*\0|MM\0\*)/.test(head)) {
    return `${file.name} is a TIFF, which this browser cannot read: save it as PNG or JPEG, and drop that`;
  }
  const [width, height] = await sizeOf(file);
  if (width * height > 250e6) return tooLarge(file, width, height); // no browser decodes these
  return `${file.name} is damaged, or not a photo: save it anew as JPEG, PNG or WebP`;
}

// As Python rounds, so that both choose the same size.
function halfToEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + floor % 2 : Math.round(x);
}
