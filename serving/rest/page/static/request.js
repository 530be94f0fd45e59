// Requests of the server, and the same requests as lines to copy.

// The signatures that take a picture, the one that tells most first.
const SIGNATURES = ["serve_attention", "serve_bytes", "serve_uint8"];
const MASK = "mask_bytes";
const UINT8_SIDE = 256;  // lists of numbers grow fast

export async function json(url, options) {
  const reply = await fetch(url, options);
  const value = await reply.json().catch(() => ({ error: `no JSON but status ${reply.status}` }));
  if (!reply.ok) throw new Error(value.error || `status ${reply.status}`);
  return value;
}

// A model's name, version, card and so on, and the signature that a picture is sent to.
export async function modelOf(name) {
  const about = await json("models/" + encodeURIComponent(name));
  const url = `v1/models/${encodeURIComponent(name)}/versions/${about.version}`;
  const known = (await json(url + "/metadata")).metadata.signature_def.signature_def;
  const signature = SIGNATURES.find(one => one in known) || null;
  const [input, info] = signature ? Object.entries(known[signature].inputs)[0] : [null, null];
  const givesMask = Boolean(signature && known[signature].outputs[MASK]);
  return { ...about, url: new URL(url + ":predict", document.baseURI).href, signature, input, info, givesMask };
}

// Sends one picture: the answer, and the milliseconds until it began and until it was whole.
export async function ask(model, file) {
  if (!model.signature) throw new Error("This model has no signature that takes a picture: it would "
    + "need one of " + SIGNATURES.join(", ") + ".");
  const bitmap = await createImageBitmap(file).catch(() => null);
  const isPixels = model.signature === "serve_uint8";
  if (isPixels && !bitmap) throw new Error("This file is no picture.");
  const value = isPixels ? pixels(bitmap, UINT8_SIDE) : { b64: await base64(file) };
  const body = JSON.stringify({ signature_name: model.signature, instances: [{ [model.input]: value }] });
  const start = performance.now();
  const reply = await fetch(model.url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const began = performance.now() - start;
  const result = await reply.json().catch(() => ({ error: `no JSON but status ${reply.status}` }));
  if (!reply.ok) throw new Error(result.error || `status ${reply.status}`);
  const whole = performance.now() - start, answer = await readable(result.predictions[0], model, bitmap);
  return { answer, began, whole, bitmap, body };
}

// The answer with its mask as numbers, and the size of the picture that boxes are in.
async function readable(answer, { givesMask }, bitmap) {
  const size = bitmap && { width: bitmap.width, height: bitmap.height };
  if (!givesMask) return answer.boxes ? { ...answer, size } : answer;
  const { [MASK]: file = answer, ...others } = answer;  // a single output has no name
  return { ...others.b64 ? {} : others, mask: await classesIn(file.b64) };
}

// The class of each pixel, out of a grey PNG.
async function classesIn(b64) {
  const png = new Blob([Uint8Array.from(atob(b64), letter => letter.charCodeAt(0))], { type: "image/png" });
  const bitmap = await createImageBitmap(png, { colorSpaceConversion: "none" });
  const { width, height } = bitmap, context = contextOf(width, height);
  context.drawImage(bitmap, 0, 0);
  const bytes = context.getImageData(0, 0, width, height).data;
  return { width, height, data: bytes.filter((_, i) => i % 4 === 0) };
}

// The part of a picture that a network sees: its centre, where it was made to crop.
export function seenPart({ width, height }, how) {
  if (!how?.size || !how.crop) return { left: 0, top: 0, width, height };
  const [least, wide] = how.size.map(side => Math.floor(side / how.crop));
  const scale = Math.max(least / height, wide / width);
  const part = { width: how.size[1] / scale, height: how.size[0] / scale };
  return { ...part, left: (width - part.width) / 2, top: (height - part.height) / 2 };
}

// The picture, or a part of it, as rows of pixels of red, green and blue, at most `side` wide and high.
export function pixels(bitmap, side, { left, top, width, height } = seenPart(bitmap)) {
  const scale = Math.min(1, side / Math.max(width, height));
  const columns = Math.max(1, Math.round(width * scale)), rows = Math.max(1, Math.round(height * scale));
  const context = contextOf(columns, rows);
  context.drawImage(bitmap, left, top, width, height, 0, 0, columns, rows);
  const data = context.getImageData(0, 0, columns, rows).data;
  return Array.from({ length: rows }, (_, y) =>
    Array.from({ length: columns }, (_, x) => {
      const i = 4 * (y * columns + x);
      return [data[i], data[i + 1], data[i + 2]];
    }));
}

function contextOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
}

// The bytes of a file in base64; a string of each byte would be too long for one call.
async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768)
    text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}

const shell = text => "'" + text.replaceAll("'", "'\\''") + "'";
// A path that neither a shell nor Python takes for an option or for standard input.
const path = name => (name.startsWith("-") ? "./" + name : name);

// Where pixels are sent, the body is a file of its own: `request.json`.
export const isBodyAFile = model => model.signature === "serve_uint8";

export function curlLine(model, item) {
  if (isBodyAFile(model)) return `curl --silent --data-binary @request.json ${shell(model.url)}`;
  const [before, after] = around(model);
  const read = item.url ? `curl --silent ${shell(item.url)} | base64` : `base64 < ${shell(path(item.name))}`;
  return `(printf %s ${shell(before)}; ${read} | tr -d '\\n'; printf %s ${shell(after)}) `
    + `| curl --silent --data-binary @- ${shell(model.url)}`;
}

export function pythonLine(model, item) {
  const open = item.url ? `u.urlopen(${JSON.stringify(item.url)})` : `open(${JSON.stringify(path(item.name))}, "rb")`;
  const [before, after] = around(model).map(text => JSON.stringify(text));
  const body = isBodyAFile(model)
    ? 'open("request.json", "rb").read()'
    : `(${before} + base64.b64encode(${open}.read()).decode() + ${after}).encode()`;
  const imports = isBodyAFile(model) ? "json, urllib.request as u" : "base64, json, urllib.request as u";
  return `import ${imports}; print(json.load(u.urlopen(${JSON.stringify(model.url)}, ${body}))["predictions"][0])`;
}

// The body before and after the file in base64.
function around(model) {
  const name = JSON.stringify(model.signature), input = JSON.stringify(model.input);
  return [`{"signature_name": ${name}, "instances": [{${input}: {"b64": "`, '"}}]}'];
}
