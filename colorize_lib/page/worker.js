// Colours photos off the main thread, so that a big one does not freeze the page.
// No colour mathematics here: three ONNX graphs, traced from the Python library, do it (colorize_lib/export.py).

const BAND = 1 << 18; // pixels at a time: little memory for a photo of any size
const KEPT = { "image/jpeg": 0.95, "image/png": undefined, "image/webp": 0.95 }; // formats that a canvas writes, and their quality

const ready = load();
const jobs = new Map(); // id → what is known of a photo: its latest wish, and the colours that the network saw in it
let queue = Promise.resolve();

async function load() {
  const ort = await import("./vendor/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("vendor/", self.location).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  const config = await (await fetch("config.json")).json();
  const bytes = async (name) => new Uint8Array(await (await fetch(`model/${name}`)).arrayBuffer());
  const steps = {};
  for (const name of config.steps) steps[name] = await ort.InferenceSession.create(await bytes(`${name}.onnx`));
  const tensor = (type, data, dims) => new ort.Tensor(type, data, dims);
  const whole = (...numbers) => BigInt64Array.from(numbers, (n) => BigInt(Math.round(n)));
  return { steps, tensor, whole };
}

onmessage = ({ data }) => {
  if (data.forget) return void jobs.delete(data.forget);
  const job = { ...jobs.get(data.id), ...data };
  jobs.set(data.id, job);
  queue = queue.then(() => colour(job)).catch((error) => {
    if (!(error instanceof Superseded)) postMessage({ id: job.id, version: job.version, error: error.message });
  });
};

class Superseded extends Error {}

async function colour(job) {
  const report = async (progress) => {
    postMessage({ id: job.id, progress });
    await new Promise((resume) => setTimeout(resume)); // lets a newer wish in
    if (jobs.get(job.id)?.version !== job.version) throw new Superseded();
  };
  await report(0.02);
  const { steps, tensor, whole } = await ready;
  const canvas = await draw(job.file);
  const { width, height } = canvas;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rows = Math.max(1, Math.floor(BAND / width));
  const read = (top) => context.getImageData(0, top, width, Math.min(rows, height - top));
  const photo = ({ data, height }) => tensor("uint8", new Uint8Array(data.buffer), [height, width, 4]);

  // The size at which the network sees the photo: about resolution² pixels.
  const scale = job.resolution / Math.sqrt(height * width);
  const [h, w] = [height, width].map((side) => Math.max(1, halfToEven(side * scale)));
  if (job.seen?.resolution !== job.resolution) {
    const L = new Float32Array(height * w);
    for (let top = 0; top < height; top += rows) {
      const feeds = { photo: photo(read(top)), width: tensor("int64", whole(w), []) };
      L.set((await steps.lightness.run(feeds)).L.data, top * w);
      await report(0.05 + 0.25 * top / height);
    }
    const feeds = { L: tensor("float32", L, [height, w]), size: tensor("int64", whole(h, w), [2]), width: tensor("int64", whole(width), []) };
    const { planes, rows: weights } = await steps.colours.run(feeds);
    job.seen = { resolution: job.resolution, planes: planes.data, rows: weights.data };
    if (jobs.has(job.id)) jobs.get(job.id).seen = job.seen;
  }

  const planes = tensor("float32", job.seen.planes, [5, h, width]);
  const saturation = tensor("float32", Float32Array.of(job.saturation), []);
  for (let top = 0; top < height; top += rows) {
    const band = read(top);
    const weights = job.seen.rows.subarray(top * h, (top + band.height) * h);
    const feeds = { photo: photo(band), planes, rows: tensor("float32", weights, [band.height, h]), saturation };
    band.data.set((await steps.paint.run(feeds)).coloured.data);
    context.putImageData(band, 0, top);
    await report(0.4 + 0.55 * (top + band.height) / height);
  }
  const type = job.file.type in KEPT ? job.file.type : "image/png";
  const blob = await canvas.convertToBlob({ type, quality: KEPT[type] });
  postMessage({ id: job.id, version: job.version, blob, width, height });
}

// Upright, as the EXIF orientation says; what is transparent is laid on white, as `colorize` does.
async function draw(file) {
  const bitmap = await createImageBitmap(file).catch(async () => { throw new Error(await whyNot(file)); });
  const { width, height } = bitmap;
  try {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    if (context.getImageData(width - 1, height - 1, 1, 1).data[3] !== 255) throw new Error();
    return canvas;
  } catch {
    throw new Error(`${file.name} has ${(width * height / 1e6).toFixed(0)} megapixels, too many for this browser: scale it down first`);
  } finally {
    bitmap.close();
  }
}

async function whyNot(file) {
  if (file.size === 0) return `${file.name} is empty (0 bytes): copy it again from where it came`;
  const head = new TextDecoder("latin1").decode(await file.slice(0, 32).arrayBuffer());
  if (/^....ftyp(hei|hev|mif|msf)/s.test(head) || /\.hei[cf]$/i.test(file.name)) {
    return `${file.name} is a HEIC photo, which this browser cannot read: export it as JPEG, and drop that`;
  }
  if (/^(II\*\0|MM\0\*)/.test(head)) {
    return `${file.name} is a TIFF, which this browser cannot read: save it as PNG or JPEG, and drop that`;
  }
  return `${file.name} is damaged, or not a photo: save it anew as JPEG, PNG or WebP`;
}

// As Python rounds, so that both choose the same size.
function halfToEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + floor % 2 : Math.round(x);
}
