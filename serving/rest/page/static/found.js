// What answers find that are no classes of the whole picture: objects, a class for each pixel, a
// caption. Drawn as keras_attn/explain/drawing does.

import { greyOf, nearest } from "./pictures.js";

const TOP = 12;
const LINE = 3;  // of a frame, in pixels

// By the number of a class from 1 on; class 0 of pixels is the ground, which has no colour.
const COLOURS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];
const SHARE = 153;  // of 255, of a colour over the grey picture

const colourOf = number => COLOURS[(number - 1) % COLOURS.length];
const percent = share => `${(100 * share).toFixed(1)} %`;

// The words for each form of answer: over the table, and where it would be empty.
export const TITLES = {
  classes: ["Classes", "no class"],
  objects: ["Objects", "no object"],
  pixels: ["Classes of pixels", "no pixels"],
  caption: ["Caption", "no words"],
};

export function formOf(answer) {
  if (answer.mask) return "pixels";
  if (answer.boxes && answer.classes) return "objects";
  return typeof answer.captions === "string" ? "caption" : "classes";
}

// The rows of the table, but for classes: label, text, the length of the bar, and a colour.
export function rowsFound(answer, names) {
  const form = formOf(answer);
  if (form === "objects")
    return objectsOf(answer).slice(0, TOP).map(({ label, score, colour }) =>
      ({ label, text: percent(score), share: score, colour }));
  if (form === "caption") {
    const { captions: label, scores: score } = answer;
    return label ? [{ label, text: `log p ${score.toFixed(2)}`, share: Math.exp(Math.min(score, 0)) }] : [];
  }
  const { data } = answer.mask, counts = new Map();
  for (const number of data) counts.set(number, (counts.get(number) || 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, TOP).map(([number, count]) => ({
    label: names?.[number] ?? `class ${number}`, text: percent(count / data.length), share: count / data.length,
    colour: number ? colourOf(number) : null,
  }));
}

// The objects, the likeliest first; the answer is filled up with empty ones.
function objectsOf({ boxes, scores, classes, labels }) {
  const all = boxes.map((box, i) => ({ box, score: scores[i], label: String(labels[i]), colour: colourOf(classes[i] + 1) }));
  return all.filter((_, i) => classes[i] >= 0);
}

// What is drawn over a picture: the objects' frames, boxes being in pixels of a picture so wide.
export function framed({ width, height, data }, answer, wide) {
  const drawn = Uint8ClampedArray.from(data), times = width / wide;
  for (const { box, colour } of objectsOf(answer)) {
    const [left, top, right, bottom] = [box[0], box[1], box[0] + box[2], box[1] + box[3]].map(side => Math.round(side * times));
    for (let row = Math.max(top, 0); row <= Math.min(bottom, height - 1); row++)
      for (let column = Math.max(left, 0); column <= Math.min(right, width - 1); column++)
        if (Math.min(row - top, bottom - row, column - left, right - column) < LINE)
          drawn.set(colour, 3 * (row * width + column));
  }
  return { width, height, data: drawn };
}

// ... or the class of each pixel as a colour, over the grey picture.
export function coloured({ width, height, data }, mask) {
  const numbers = nearest(mask, width, height, 1).data, drawn = new Uint8ClampedArray(data.length);
  numbers.forEach((number, place) => {
    const grey = greyOf(data, 3 * place);
    for (let c = 0; c < 3; c++)
      drawn[3 * place + c] = number ? Math.round((SHARE * colourOf(number)[c] + (255 - SHARE) * grey) / 255) : grey;
  });
  return { width, height, data: drawn };
}

// The same in words, for who can't see it.
export function inWords(answer) {
  if (formOf(answer) === "pixels") return "The classes of the pixels, in colours over the picture.";
  const { width, height } = answer.size;
  const places = objectsOf(answer).slice(0, TOP).map(({ label, box: [x, y, w, h] }) =>
    `${label}, ${Math.round(100 * (y + h / 2) / height)} % down, ${Math.round(100 * (x + w / 2) / width)} % across`);
  return places.length ? `Objects in frames over the picture: ${places.join("; ")}.` : "No object is framed.";
}
