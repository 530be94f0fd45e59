// What the answer of `serve_attention` tells of each layer.

import { formOf } from "./found.js";

const PREFIX = "attention_", HEADS = "heads_";

const isGrid = value => Array.isArray(value) && Array.isArray(value[0]) && typeof value[0][0] === "number";

// The layers in the network's order, where the export has told it. Of models that others have
// exported, each output that is a grid of numbers counts.
export function layersOf(answer, forms) {
  const found = {}, areClasses = formOf(answer) === "classes";
  for (const [key, value] of Object.entries(answer))
    if (key.startsWith(PREFIX)) found[key.slice(PREFIX.length)] = value;
    else if (areClasses && isGrid(value)) found[key] = value;
  const names = Object.keys(found);
  const order = Object.keys(forms);
  const rank = name => (order.includes(name) ? order.indexOf(name) : order.length);
  names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }));
  return names.map(name => {
    const value = found[name];
    const form = forms[name] || (Array.isArray(value[0]) ? "place" : "channel_gate");
    if (form === "steps") return ofWords(name, value, answer.words || []);
    return { name, form, value, heads: answer[HEADS + name] || [] };
  });
}

// A caption's words are its attention's heads, those behind its end left out.
function ofWords(name, steps, all) {
  const words = all.filter(Boolean), heads = steps.slice(0, words.length || steps.length);
  const mean = heads[0].map((row, y) => row.map((_, x) => heads.reduce((sum, one) => sum + one[y][x], 0) / heads.length));
  return { name, form: "steps", value: mean, heads, words };
}

// What `heat_maps` shows by default: the last layer with attention by place, or else the last one.
export function usualLayer(layers) {
  const last = layers.findLastIndex(layer => layer.form !== "channel_gate");
  return last < 0 ? layers.length - 1 : last;
}

// Rows of numbers: places, or a row for each branch of a gate of channels. Head 0 is all of them.
export function rowsOf(layer, head) {
  if (head) return layer.heads[head - 1];
  return Array.isArray(layer.value[0]) ? layer.value : [layer.value];
}

export function describe(layer, head) {
  if (layer.form === "boxes")
    return layer.value.length > 1 ? `looked at ${layer.value.length} places, from blue to yellow` : "looked at 1 place";
  const rows = rowsOf(layer, head), size = `${rows.length}x${rows[0].length}`;
  if (layer.form === "channel_gate")
    return `gate of ${rows[0].length} channels` + (rows.length > 1 ? `, for ${rows.length} branches` : "");
  if (layer.form === "steps")
    return head ? `where word ${head} of ${layer.heads.length} looks` : `where ${layer.heads.length} words look, their mean`;
  if (layer.form === "mask") return `attention mask ${size}, mean of its channels`;
  if (layer.form === "place_gate") return `gate of places ${size}, mean of its channels`;
  if (layer.form === "place") return `attention ${size}`;
  const count = layer.heads.length || 1;
  const heads = head ? `head ${head} of ${count}` : `mean of ${count} heads`;
  return `self-attention ${size}, received by each place, ${heads}`;
}
