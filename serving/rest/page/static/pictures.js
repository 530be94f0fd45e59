// The pictures of keras_attn/explain/drawing, number for number: values to heat, heat to
// colours, colours over the grey image. Pixels are {width, height, data}, three bytes each.

// Low to high, evenly spaced: dark blue, blue, teal, green, yellow.
export const RAMP = [[26, 28, 84], [38, 78, 138], [24, 130, 142], [72, 181, 122], [250, 226, 70]];
export const OPACITY = 0.6;
const PANEL = 288;  // the least length of a panel's longer side

// Values of 0..1 to bytes, linearly between the colours.
export function colourise({ width, height, data }) {
  const colours = new Uint8ClampedArray(3 * data.length);
  data.forEach((value, i) => {
    const at = Math.min(Math.max(value, 0), 1) * (RAMP.length - 1);
    const left = Math.min(Math.floor(at), RAMP.length - 2);
    for (let c = 0; c < 3; c++)
      colours[3 * i + c] = RAMP[left][c] + (at - left) * (RAMP[left + 1][c] - RAMP[left][c]);
  });
  return { width, height, data: colours };
}

// Rows of numbers to a grid from 0 to 1, by the fixed scales of keras_attn/explain/scale.py: gates
// 0 to 1, or 0 to 2 where one is above 1; what is a share, 0 to 4 times its mean.
export function scaled(rows, { high, isShare }) {
  const all = rows.flat();
  const mean = isShare ? all.reduce((sum, value) => sum + Math.abs(value), 0) / all.length || 1 : 1;
  const data = Float32Array.from(all, value => Math.min(Math.max(value / mean / high, 0), 1));
  return { width: rows[0].length, height: rows.length, data };
}

export function scaleOf(rows, isShare) {
  if (isShare) return { high: 4, isShare, text: "4 times the mean" };
  const high = range(rows).high > 1.0001 ? 2 : 1;  // a mean of ones may round up
  return { high, isShare, text: String(high) };
}

export function range(rows) {
  let low = Infinity, high = -Infinity;
  for (const value of rows.flat()) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high };
}

// Pixels enlarged by a whole number of times, until the longer side is a panel's.
export function panel(pixels) {
  const times = Math.ceil(PANEL / Math.max(pixels.width, pixels.height));
  return nearest(pixels, pixels.width * times, pixels.height * times, 3);
}

// The heat, each value a square of its colour.
export function squares(heat, width, height) {
  return colourise(nearest(heat, width, height, 1));
}

// The heat smoothed and coloured, over the grey image.
export function blend(image, heat, opacity) {
  const { width, height, data } = image;
  const colours = colourise(resized(heat, width, height, bicubic, 2)).data;
  const share = Math.fround(opacity);
  const mixed = new Uint8ClampedArray(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const grey = greyOf(data, i);
    for (let c = i; c < i + 3; c++)  // rounded down, in float32
      mixed[c] = Math.trunc(Math.fround(grey + Math.fround(share * (colours[c] - grey))));
  }
  return { width, height, data: mixed };
}

// Of the pixel whose three bytes begin there, as Pillow has it.
export const greyOf = (data, i) =>
  (data[i] * 19595 + data[i + 1] * 38470 + data[i + 2] * 7471 + 0x8000) >> 16;

// What was looked at, as frames three pixels wide, from the first step to the last in the ramp's
// colours. A box: centre y, centre x, half the height, half the width, from -1 to 1.
export function frames({ width, height, data }, steps) {
  const drawn = Uint8ClampedArray.from(data);
  steps.forEach((boxes, step) => {
    const colour = colourise({ width: 1, height: 1, data: [steps.length > 1 ? step / (steps.length - 1) : 1] }).data;
    for (const [y, x, halfHeight, halfWidth] of boxes) {
      const at = (place, side) => Math.round((place + 1) / 2 * (side - 1));
      const top = at(y - halfHeight, height), bottom = at(y + halfHeight, height);
      const left = at(x - halfWidth, width), right = at(x + halfWidth, width);
      for (let row = Math.max(top, 0); row <= Math.min(bottom, height - 1); row++)
        for (let column = Math.max(left, 0); column <= Math.min(right, width - 1); column++)
          if (Math.min(row - top, bottom - row, column - left, right - column) < 3)
            drawn.set(colour, 3 * (row * width + column));
    }
  });
  return { width, height, data: drawn };
}

// Gates of channels as bars: a strip for each branch, a column for each channel, or for the
// greatest of those that share a pixel.
export function bars(gates, width, height) {
  const data = new Uint8ClampedArray(3 * width * height).fill(255);
  const put = (x, y, colour) => data.set(colour, 3 * (y * width + x));
  for (let branch = 0; branch < gates.height; branch++) {
    const top = Math.trunc(branch * height / gates.height);
    const space = Math.trunc((branch + 1) * height / gates.height) - top - 2;
    const strip = gates.data.subarray(branch * gates.width, (branch + 1) * gates.width);
    for (let x = 0; x < width; x++) {
      const first = Math.floor(x * gates.width / width);
      const last = Math.max(Math.floor((x + 1) * gates.width / width), first + 1);
      const value = Math.max(...strip.subarray(first, last));
      const colour = colourise({ width: 1, height: 1, data: [value] }).data;
      for (let y = 0; y < Math.round(Math.fround(value * space)); y++) put(x, top + space - 1 - y, colour);
      put(x, top + space, [110, 110, 118]);
    }
  }
  return { width, height, data };
}

export function nearest({ width, height, data }, toWidth, toHeight, channels) {
  const result = new data.constructor(toWidth * toHeight * channels);
  const rows = places(height, toHeight), columns = places(width, toWidth);
  let i = 0;
  for (const row of rows)
    for (const column of columns)
      for (let c = 0; c < channels; c++) result[i++] = data[(row * width + column) * channels + c];
  return { width: toWidth, height: toHeight, data: result };
}

// The old place of each new one. Summed up as Pillow does, so that a tie falls to the same side.
function places(from, to) {
  const step = from / to;
  let at = step / 2;
  return Array.from({ length: to }, () => {
    const place = Math.min(Math.trunc(at), from - 1);
    at += step;
    return place;
  });
}

function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// One value a place, first across and then down; `reach` is that of the filter.
function resized({ width, height, data }, toWidth, toHeight, filter, reach) {
  const across = weights(width, toWidth, filter, reach);
  const wide = new Float32Array(toWidth * height);
  for (let y = 0; y < height; y++)
    across.forEach(({ start, shares }, x) => {
      wide[y * toWidth + x] = shares.reduce((sum, w, i) => sum + w * data[y * width + start + i], 0);
    });
  const down = weights(height, toHeight, filter, reach);
  const whole = new Float32Array(toWidth * toHeight);
  down.forEach(({ start, shares }, y) => {
    for (let x = 0; x < toWidth; x++)
      whole[y * toWidth + x] = shares.reduce((sum, w, i) => sum + w * wide[(start + i) * toWidth + x], 0);
  });
  return { width: toWidth, height: toHeight, data: whole };
}

// For each new place, the old ones that count and their shares. Shrinking widens the filter.
function weights(from, to, filter, reach) {
  const scale = from / to, wider = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach * wider + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach * wider + 0.5));
    const shares = [];
    for (let i = start; i < end; i++) shares.push(filter((i - centre + 0.5) / wider));
    const sum = shares.reduce((a, b) => a + b, 0);
    return { start, shares: shares.map(share => share / sum) };
  });
}
