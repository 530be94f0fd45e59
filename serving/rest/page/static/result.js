// What an answer looks like: a table with bars, what was found and the attention over the picture.

import { coloured, formOf, framed, inWords, rowsFound, TITLES } from "./found.js";
import { describe, rowsOf } from "./layers.js";
import { bars, blend, colourise, frames, panel, range, scaled, scaleOf, squares } from "./pictures.js";
import { pixels, seenPart } from "./request.js";

const $ = id => document.getElementById(id);
const TOP = 5;
const SIDE = 448;  // of a picture that the server doesn't give back

// The rows of the table, the best first.
export function bestOf(answer, names) {
  if (formOf(answer) !== "classes") return rowsFound(answer, names);
  let classes;
  if (answer.labels) classes = answer.labels.map((label, i) => ({ label: String(label), score: answer.scores[i] }));
  else {
    const scores = answer.probabilities || answer.outputs || answer.logits || [];
    classes = scores.map((score, i) => ({ label: names?.[i] ?? `class ${i}`, score }));
    classes.sort((a, b) => b.score - a.score);
  }
  const areShares = classes.every(({ score }) => score >= 0 && score <= 1);
  return classes.slice(0, TOP).map(one => ({
    ...one,
    text: areShares ? `${(100 * one.score).toFixed(1)} %` : one.score.toPrecision(4),
    share: areShares ? one.score : Math.max(0, one.score) / Math.max(1, classes[0].score),
  }));
}

// The rows' heading, and what is said where there is none.
export const titlesOf = answer => TITLES[formOf(answer)];

export function showTable(answer, names) {
  $("table-title").textContent = titlesOf(answer)[0];
  $("classes").replaceChildren(...bestOf(answer, names).map(({ label, text, share, colour }) => {
    const row = document.createElement("tr"), name = document.createElement("th");
    const cell = document.createElement("td"), bar = document.createElement("span");
    name.scope = "row";
    name.textContent = label;
    if (colour) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.setProperty("--colour", `rgb(${colour.join()})`);
      name.prepend(swatch);
    }
    bar.className = "bar";
    bar.style.setProperty("--share", share);
    cell.append(bar, text);
    row.append(name, cell);
    return row;
  }));
}

// What was found over the picture, the picture, a layer's attention, and both, as
// `keras_attn.explain` draws them.
export function showLooks({ answer, bitmap }, how, layer, head, opacity) {
  const seen = answer.image || (bitmap && pixels(bitmap, SIDE, seenPart(bitmap, answer.mask && how)));
  $("looks").hidden = !seen;
  if (!seen) return;
  const image = panel(pixelsOf(seen, answer.image ? 255 : 1));
  put("image", image);
  const isGate = layer?.form === "channel_gate", areBoxes = layer?.form === "boxes";
  const areFound = showFound(answer, bitmap, image);
  $("panels").classList.toggle("alone", !layer && !areFound);
  $("overlay-panel").hidden = !layer || isGate;
  $("attention-panel").hidden = $("scale").hidden = !layer || areBoxes;
  $("layer-title").textContent = layer ? layer.name : "";
  $("layer-subtitle").textContent = layer ? describe(layer, head) : "";
  if (areBoxes) {
    put("overlay", frames(image, layer.value));
    $("overlay").setAttribute("aria-label", `${layer.name}: ${describe(layer)}, over the picture. ${places(layer.value)}`);
  }
  if (!layer || areBoxes) return;

  const rows = rowsOf(layer, head), { low, high } = range(rows);
  const scale = scaleOf(rows, layer.form !== "channel_gate" && isShare(layer, rows)), heat = scaled(rows, scale);
  const what = `${layer.name}: ${describe(layer, head)}, from ${short(low)} to ${short(high)}`;
  $("attention-caption").textContent = isGate ? "channels" : "attention";
  put("attention", (isGate ? bars : squares)(heat, image.width, image.height));
  $("attention").setAttribute("aria-label", `${what}. ${highest(rows, isGate)}`);
  if (!isGate) {
    put("overlay", blend(image, heat, opacity));
    $("overlay").setAttribute("aria-label", `The attention over the picture. ${what}. ${highest(rows, isGate)}`);
  }
  $("low").textContent = "0";
  $("high").textContent = scale.text;
  put("ramp", colourise({ width: 256, height: 1, data: Float32Array.from({ length: 256 }, (_, i) => i / 255) }));
}

// Objects and the classes of pixels; boxes are drawn over the whole picture, of which a network may
// see a part.
function showFound(answer, bitmap, image) {
  const form = formOf(answer), isDrawn = form === "pixels" || (form === "objects" && Boolean(bitmap));
  $("found-panel").hidden = !isDrawn;
  if (!isDrawn) return false;
  put("found", form === "pixels" ? coloured(image, answer.mask)
    : framed(panel(pixelsOf(pixels(bitmap, SIDE), 1)), answer, bitmap.width));
  $("found").setAttribute("aria-label", inWords(answer));
  return true;
}

// Attention that sums to 1 has no unit of its own.
const isShare = (layer, rows) => layer.form === "map"
  || Math.abs(rows.flat().reduce((sum, value) => sum + value, 0) - 1) < 1e-3;

const short = value => String(Number(value.toPrecision(3)));

// Where each step looked, for who can't see it.
function places(steps) {
  const at = steps.map(([[y, x]]) => `${Math.round(50 * (y + 1))} % down, ${Math.round(50 * (x + 1))} % across`);
  return `In turn: ${at.join("; ")}.`;
}

// Where the greatest value is, for who can't see it.
function highest(rows, isGate) {
  const flat = rows.flat(), at = flat.reduce((best, value, i) => (value > flat[best] ? i : best), 0);
  const row = Math.floor(at / rows[0].length), column = at % rows[0].length;
  if (isGate) return `Highest at channel ${column + 1}` + (rows.length > 1 ? ` of branch ${row + 1}.` : ".");
  return `Highest at row ${row + 1} of ${rows.length}, column ${column + 1} of ${rows[0].length}.`;
}

// Rows of pixels, grey or of three channels, to bytes.
function pixelsOf(rows, factor) {
  const height = rows.length, width = rows[0].length, data = new Uint8ClampedArray(3 * height * width);
  rows.flat().forEach((values, i) => {
    for (let c = 0; c < 3; c++) data[3 * i + c] = factor * values[c % values.length];
  });
  return { width, height, data };
}

function put(id, { width, height, data }) {
  const canvas = $(id), bytes = new ImageData(width, height);
  for (let i = 0, j = 0; i < data.length; j++) {
    for (let c = 0; c < 3; c++) bytes.data[j++] = data[i++];
    bytes.data[j] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(bytes, 0, 0);
}
