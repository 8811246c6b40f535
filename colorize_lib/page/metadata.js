// What a photo's file says beside its pixels (date, place, captions, resolution), carried into the coloured file,
// since a canvas keeps none of it.  As colorize_lib/photos/exif.py does, it leaves out what describes the old pixels:
// orientation, thumbnails, colour profile, appended films.  JPEG, PNG and WebP; nothing is decoded.

const EXIF = "Exif\0\0", XMP = "http://ns.adobe.com/xap/1.0/\0", PHOTOSHOP = "Photoshop 3.0\0", PNG_XMP = "XML:com.adobe.xmp\0";
const ORIENTATION = 0x0112, SOFTWARE = 0x0131, PROCESSING_SOFTWARE = 0x000b, EXIF_DIRECTORY = 0x8769;
const MOST_EXIF = 65527; // bytes, in a JPEG
const SWAPPED = { 0x011a: 0x011b, 0x011b: 0x011a }; // the two resolutions, where a photo is turned on its side
const SIZES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4]; // bytes of a value, by its type in TIFF
const OF_THE_PIXELS = new RegExp([
  /tiff:Orientation=["']\d*["']?/, /<tiff:Orientation>\s*\d*\s*(<\/tiff:Orientation>)?/, /<xmp:Thumbnails>.*?<\/xmp:Thumbnails>/,
  /\b(?:GCamera|MiCamera|hdrgm|HDRGainMap|xmpNote):\w+=(?:"[^"]*"|'[^']*')/, /<(Container:Directory)[ >].*?<\/\2>/,
].map(({ source }) => source).join("|"), "gs");

const letters = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const bytesOf = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const starts = (bytes, text) => letters(bytes.subarray(0, text.length)) === text;
const number = (value, size, little = false) =>
  Uint8Array.from({ length: size }, (_, i) => value / 2 ** (8 * (little ? i : size - 1 - i)) & 255);
const joined = (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) whole.set(part, (at += part.length) - part.length);
  return whole;
};
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/**
 * The coloured file with what the original says beside its pixels, and a note that it was coloured.
 * `notes` says, in short phrases, what could not be kept.
 */
export async function keep(original, coloured, about) {
  const old = read(new Uint8Array(await original.arrayBuffer()));
  const notes = [];
  if (old.depth > 8) notes.push(`8 bits per channel, the original has ${old.depth}`);
  if (old.damaged) notes.push("without the original's date and captions, which are damaged");
  if (!old.format && original.type !== "image/bmp") notes.push("without the original's date and captions, if it has any");
  const fresh = new Uint8Array(await coloured.arrayBuffer());
  const format = Object.keys(FORMATS).find((name) => FORMATS[name].is(fresh));
  if (!format) return { blob: coloured, notes };
  let exif = null;
  try {
    exif = exifOfCopy(old.exif, { ...about, upright: !old.exif || await upright(old.format, original.type) });
  } catch { // what cannot be followed to its end
  }
  if (!exif || format === "jpeg" && exif.block.length > MOST_EXIF) {
    notes.push(`without the original's EXIF data, which ${exif ? "has no room for the note" : "is damaged"}`);
    exif = exifOfCopy(undefined, { ...about, upright: true });
  }
  const xmp = old.xmp && bytesOf(letters(old.xmp).replace(OF_THE_PIXELS, ""));
  const same = old.format === format ? old : {}; // resolution, comments and texts are each format's own
  const parts = FORMATS[format].write(fresh, { ...same, exif: exif.block, xmp, turned: exif.turned }, about);
  // In one part: Firefox decodes no JPEG of which it is first given two bytes.
  return { blob: new Blob([joined(...parts)], { type: coloured.type }), notes };
}

/** Width and height in pixels as the head of a PNG or JPEG says; NaN where it does not. */
export async function sizeOf(file) {
  const data = new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer());
  const frame = FORMATS.jpeg.is(data) && [...segments(data)].find(({ kind }) => kind === 0xc0 || kind > 0xc0 && kind < 0xd0 && kind % 4);
  if (FORMATS.png.is(data) && data.length > 24) return [viewOf(data).getUint32(16), viewOf(data).getUint32(20)];
  return frame?.body?.length > 4 ? [viewOf(frame.body).getUint16(3), viewOf(frame.body).getUint16(1)] : [NaN, NaN];
}

// Whether this browser turns a format's photos as their EXIF data say (Chromium does not turn WebP): tried once.
const tried = new Map();
function upright(format, type) {
  if (!tried.has(format)) tried.set(format, turns(FORMATS[format], type));
  return tried.get(format);
}

async function turns({ write }, type) {
  const canvas = new OffscreenCanvas(2, 1);
  canvas.getContext("2d");
  const plain = new Uint8Array(await (await canvas.convertToBlob({ type })).arrayBuffer());
  const turned = bytesOf("II*\0\b\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"); // by a quarter
  return (await createImageBitmap(new Blob([joined(...write(plain, { exif: turned }, canvas))], { type }))).width === 1;
}

function read(data) {
  const format = Object.keys(FORMATS).find((name) => FORMATS[name].is(data));
  try {
    return format ? { format, ...FORMATS[format].read(data) } : {};
  } catch { // lengths that lead out of the file
    return { format, damaged: true };
  }
}

// --- EXIF -----------------------------------------------------------------

// A block of EXIF data is a TIFF file without pixels.  Every byte stays where it was, since a camera's note may
// point anywhere; a new first directory is appended.
function exifOfCopy(block, { width, height, mark, upright }) {
  const data = joined(block ?? bytesOf("II*\0\b\0\0\0\0\0\0\0\0\0"), new Uint8Array((block?.length ?? 0) % 2));
  const view = viewOf(data), little = data[0] === 0x49;
  let used = data.length; // without a thumbnail at the end
  const u16 = (at) => view.getUint16(at, little), u32 = (at) => view.getUint32(at, little);
  if (!starts(data, "II*\0") && !starts(data, "MM\0*")) throw new Error("no EXIF data");
  const end = (directory) => directory + 2 + 12 * u16(directory);
  const entries = (directory) => {
    const found = new Map();
    for (let at = directory + 2; at < end(directory); at += 12) {
      const size = (SIZES[u16(at + 2)] ?? 0) * u32(at + 4);
      found.set(u16(at), { at, kind: u16(at + 2), value: size > 4 ? u32(at + 8) : at + 8, size });
    }
    return found;
  };
  const whole = (field) => field && (field.kind === 3 ? u16(field.value) : u32(field.value));
  const words = (field) => field ? letters(data.subarray(field.value, field.value + field.size)).replace(/[\0 ]+$/, "") : "";

  const first = entries(u32(4)), orientation = whole(first.get(ORIENTATION));
  const second = u32(end(u32(4)));
  if (second) {
    const thumbnail = entries(second);
    const start = whole(thumbnail.get(0x0201)), size = whole(thumbnail.get(0x0202));
    if (start + size >= data.length) used = start + start % 2;
    if (start >= 8) data.fill(0, start, start + size);
  }
  if (first.has(EXIF_DIRECTORY)) {
    const below = entries(whole(first.get(EXIF_DIRECTORY)));
    for (const [tag, value] of [[0xa001, 1], [0xa002, width], [0xa003, height]]) { // sRGB, and the size
      const field = below.get(tag);
      if (field?.kind === 3) view.setUint16(field.value, value, little);
      if (field?.kind === 4) view.setUint32(field.value, value, little);
    }
  }

  const turned = upright && orientation >= 5 && orientation <= 8;
  const noteTag = words(first.get(SOFTWARE)) && words(first.get(SOFTWARE)) !== mark ? PROCESSING_SOFTWARE : SOFTWARE;
  const earlier = words(first.get(noteTag));
  const note = bytesOf((earlier.includes(mark) ? earlier : [earlier, mark].filter(Boolean).join("; ")) + "\0");
  const rows = [...first].filter(([tag]) => (tag !== ORIENTATION || !upright) && tag !== noteTag).map(([tag, { at }]) => {
    const row = data.slice(at, at + 12), name = turned ? SWAPPED[tag] ?? tag : tag;
    row.set(number(name, 2, little));
    return [name, row];
  });
  const behind = used + 2 + 12 * (rows.length + 1) + 4;
  rows.push([noteTag, joined(number(noteTag, 2, little), number(2, 2, little), number(note.length, 4, little), number(behind, 4, little))]);
  rows.sort(([a], [b]) => a - b);
  view.setUint32(4, used, little);
  return { block: joined(data.subarray(0, used), number(rows.length, 2, little), ...rows.map(([, row]) => row), new Uint8Array(4), note), turned };
}

// --- formats --------------------------------------------------------------

function* segments(data) { // of a JPEG, up to its pixels
  for (let at = 2; data[at] === 0xff && data[at + 1] !== 0xda && data[at + 1] !== 0xd9;) {
    const end = at + 2 + (data[at + 2] << 8 | data[at + 3]);
    if (data[at + 1] === 0xff) at += 1; // filling
    else if (end > data.length) return;
    else yield { kind: data[at + 1], body: data.subarray(at + 4, end), whole: data.subarray(at, at = end), end };
  }
}

function iptc(body) { // one of Photoshop's numbered resources; the others are thumbnails and paths
  for (let at = PHOTOSHOP.length; at + 12 <= body.length && starts(body.subarray(at), "8BIM");) {
    const size = at + 6 + (body[at + 6] + 2 & ~1), end = size + 4 + viewOf(body).getUint32(size);
    if (body[at + 4] === 4 && body[at + 5] === 4) return body.subarray(at, end);
    at = end + (end - size) % 2;
  }
}

function readJpeg(data) {
  const found = { comments: [] };
  for (const { kind, body, whole } of segments(data)) {
    if (kind === 0xe1 && starts(body, EXIF)) found.exif ??= body.subarray(EXIF.length);
    else if (kind === 0xe1 && starts(body, XMP)) found.xmp ??= body.subarray(XMP.length);
    else if (kind === 0xed && starts(body, PHOTOSHOP)) found.iptc ??= iptc(body);
    else if (kind === 0xe0 && starts(body, "JFIF\0") && body[7]) found.density ??= body.subarray(7, 12);
    else if (kind === 0xfe) found.comments.push(whole);
  }
  return found;
}

function writeJpeg(data, { exif, xmp, iptc, density, comments = [], turned }) {
  const segment = (kind, ...parts) => {
    const body = joined(...parts);
    return body.length < 65534 ? joined(Uint8Array.of(0xff, kind), number(body.length + 2, 2), body) : new Uint8Array(0);
  };
  const all = [...segments(data)], jfif = all.find(({ kind }) => kind === 0xe0)?.whole.slice();
  if (jfif && density) jfif.set(turned ? [density[0], ...density.slice(3), ...density.slice(1, 3)] : density, 11);
  return [
    data.slice(0, 2), jfif ?? "", segment(0xe1, bytesOf(EXIF), exif), xmp ? segment(0xe1, bytesOf(XMP), xmp) : "",
    iptc ? segment(0xed, bytesOf(PHOTOSHOP), iptc, new Uint8Array(iptc.length % 2)) : "", ...comments,
    ...all.filter(({ kind }) => kind !== 0xe0 && kind !== 0xe1).map(({ whole }) => whole), data.slice(all.at(-1).end),
  ];
}

function* chunks(data, at, little) { // of a PNG or a WebP
  const view = viewOf(data), extra = little ? 0 : 4;
  while (at + 8 + extra <= data.length) {
    const size = view.getUint32(little ? at + 4 : at, little), end = at + 8 + size + (little ? size % 2 : extra);
    const kind = letters(data.subarray(little ? at : at + 4, (little ? at : at + 4) + 4));
    if (end > data.length + (little ? 1 : 0)) return;
    yield { kind, body: data.subarray(at + 8, at + 8 + size), whole: data.subarray(at, end) };
    at = end;
  }
}

function pngChunk(kind, body) {
  const named = joined(bytesOf(kind), body);
  let sum = -1;
  for (const byte of named) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum >>> 1 ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return joined(number(body.length, 4), named, number(~sum >>> 0, 4));
}

function readPng(data) {
  const found = { texts: [], depth: data[24] };
  for (const { kind, body, whole } of chunks(data, 8, false)) {
    if (!/^(eXIf|pHYs|tEXt|zTXt|iTXt)$/.test(kind) || letters(pngChunk(kind, body)) !== letters(whole)) continue; // a wrong checksum
    if (kind === "eXIf") found.exif ??= body;
    else if (kind === "pHYs") found.density ??= body;
    else if (kind === "iTXt" && starts(body, PNG_XMP)) { // its head: two bytes of compression, two empty texts
      if (!body[PNG_XMP.length]) found.xmp ??= body.subarray(PNG_XMP.length + 4);
    } else if (!starts(body, "Raw profile type")) found.texts.push(whole);
  }
  return found;
}

function writePng(data, { exif, xmp, density, texts = [], turned }) {
  const [head, ...rest] = chunks(data, 8, false);
  const sides = turned && density ? joined(density.slice(4, 8), density.slice(0, 4), density.slice(8)) : density;
  return [
    data.slice(0, 8), head.whole, sides ? pngChunk("pHYs", sides) : "", pngChunk("eXIf", exif),
    xmp ? pngChunk("iTXt", joined(bytesOf(PNG_XMP), new Uint8Array(4), xmp)) : "", ...texts,
    ...rest.filter(({ kind }) => kind !== "pHYs" && kind !== "eXIf").map(({ whole }) => whole),
  ];
}

function readWebp(data) {
  const found = {};
  for (const { kind, body } of chunks(data, 12, true)) {
    if (kind === "EXIF") found.exif ??= starts(body, EXIF) ? body.subarray(EXIF.length) : body;
    if (kind === "XMP ") found.xmp ??= body;
  }
  return found;
}

function writeWebp(data, { exif, xmp }, { width, height }) {
  const chunk = (kind, body) => joined(bytesOf(kind), number(body.length, 4, true), body, new Uint8Array(body.length % 2));
  const all = [...chunks(data, 12, true)];
  const flags = (all.find(({ kind }) => kind === "VP8X")?.body[0] ?? 0) & ~4 | 8 | (xmp ? 4 : 0);
  const head = joined(Uint8Array.of(flags, 0, 0, 0), number(width - 1, 3, true), number(height - 1, 3, true));
  const body = joined(
    chunk("VP8X", head), ...all.filter(({ kind }) => !["VP8X", "EXIF", "XMP "].includes(kind)).map(({ whole }) => whole),
    chunk("EXIF", exif), xmp ? chunk("XMP ", xmp) : new Uint8Array(0),
  );
  return [chunk("RIFF", joined(bytesOf("WEBP"), body))];
}

const FORMATS = {
  jpeg: { is: (data) => data[0] === 0xff && data[1] === 0xd8, read: readJpeg, write: writeJpeg },
  png: { is: (data) => starts(data, "\x89PNG\r\n\x1a\n"), read: readPng, write: writePng },
  webp: { is: (data) => starts(data, "RIFF") && starts(data.subarray(8), "WEBP"), read: readWebp, write: writeWebp },
};
