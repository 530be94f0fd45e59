// The page: which pictures there are, which one is shown, and how.

import { cardOf } from "./card.js";
import { closeCamera, openCamera, shoot } from "./camera.js";
import { layersOf, usualLayer } from "./layers.js";
import { OPACITY } from "./pictures.js";
import { ask, curlLine, isBodyAFile, json, modelOf, pythonLine } from "./request.js";
import { bestOf, showLooks, showTable, titlesOf } from "./result.js";

const $ = id => document.getElementById(id);
let model = null, items = [], shown = null, asking = Promise.resolve();

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").className = isError ? "error" : "";
}

// Pictures of a person's, of the camera or of the samples; one has a name, and a URL if it is a sample.
function take(pictures) {
  if (!pictures.length) return;
  const added = pictures.map(picture => ({ ...picture, source: URL.createObjectURL(picture.file) }));
  items.push(...added);
  shown = added[0];
  askAll(added);
}

// One after the other, so that the latency is that of a request alone.
function askAll(asked) {
  for (const item of asked) Object.assign(item, { reply: null, error: null });
  show();
  asking = asking.then(async () => {
    for (const [i, item] of asked.entries()) {
      if (!items.includes(item)) continue;
      if (asked.length > 1) say(`Asking: ${i + 1} of ${asked.length} …`);
      await askOne(item);
      if (item === shown || asked.length > 1) show(asked);
    }
  });
}

async function askOne(item) {
  const name = $("model").value;
  try {
    if (model?.name !== name) await choose(name);
    item.model = model;
    item.reply = await ask(model, item.file).catch(async error => {
      await choose(name);  // another version may have come
      if (model.version === item.model.version) throw error;
      item.model = model;
      return ask(model, item.file);
    });
  } catch (error) {
    item.error = error.message;
  }
}

function show(asked = []) {
  showTray();
  const { reply, error } = shown || {};
  $("result").hidden = !reply;
  if (!shown) say("Choose a picture to begin.");
  else if (error) say(`${shown.name}: ${error}`, true);
  else if (!reply) say(`Asking about ${shown.name} …`);
  else {
    showReply(shown);
    const done = asked.filter(item => item.reply).length;
    const several = asked.length > 1 ? ` (${done} of ${asked.length} pictures answered)` : "";
    const [best] = rowsOf(shown);
    say(`${shown.name}: ${best ? `${best.label}, ${best.text}` : nothingOf(shown)}, in ${Math.round(reply.whole)} ms${several}`);
  }
}

function showReply(item) {
  const { reply } = item;
  showTable(reply.answer, item.model.class_names);
  const times = items.filter(one => one.reply).map(one => one.reply.whole).sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  $("latency").textContent = `The answer began after ${ms(reply.began)} and was whole after ${ms(reply.whole)}, `
    + "as this browser sees it." + (times.length > 1 ? ` Median of ${times.length} pictures: ${ms(median)}.` : "");
  const layers = layersOf(reply.answer, item.model.attention || {});
  slide("layer", layers.length, layers.length ? findLayer(layers) : 0);
  draw();
  $("curl").textContent = curlLine(item.model, item);
  $("python").textContent = pythonLine(item.model, item);
  offer(item);
}

const rowsOf = item => bestOf(item.reply.answer, item.model.class_names);
const nothingOf = item => titlesOf(item.reply.answer)[1];
const ms = value => (value < 10 ? value.toFixed(1) : Math.round(value)) + " ms";

// The layer that was looked at before, or the usual one.
let lookedAt = null;
function findLayer(layers) {
  const found = layers.findIndex(layer => layer.name === lookedAt);
  return found < 0 ? usualLayer(layers) : found;
}

function slide(id, count, value) {
  $(id + "-part").hidden = count < 2;
  $(id).max = Math.max(0, count - 1);
  $(id).value = value;
}

function draw() {
  if (!shown?.reply) return;
  const layers = layersOf(shown.reply.answer, shown.model.attention || {});
  const layer = layers[Number($("layer").value)];
  slide("head", layer && layer.heads.length > 1 ? layer.heads.length + 1 : 0, $("head").value);
  const head = $("head-part").hidden ? 0 : Number($("head").value);
  name("layer", layer ? layer.name : "");
  $("head-title").textContent = layer?.words ? "Word" : "Head";
  name("head", head ? [head, layer.words?.[head - 1]].filter(Boolean).join(": ") : "all, their mean");
  name("opacity", `${$("opacity").value} %`);
  $("opacity-part").hidden = !layer || ["channel_gate", "boxes"].includes(layer.form);
  showLooks(shown.reply, shown.model.preprocessing, layer, head, $("opacity").value / 100);
}

function name(id, text) {
  $(id + "-name").textContent = text;
  $(id).setAttribute("aria-valuetext", text);
}

// What the lines need and the disk may lack: a photo of the camera, a pasted picture, or pixels.
let offered = null;
function offer(item) {
  if (offered) URL.revokeObjectURL(offered);
  const isBody = isBodyAFile(item.model);
  $("needs").hidden = !isBody && Boolean(item.url);
  offered = URL.createObjectURL(isBody ? new Blob([item.reply.body]) : item.file);
  Object.assign($("save"), { href: offered, download: isBody ? "request.json" : item.name });
  $("save").textContent = "save " + $("save").download;
}

function tile(source, caption, onClick) {
  const button = document.createElement("button"), image = document.createElement("img");
  const text = document.createElement("span");
  button.type = "button";
  image.src = source;
  image.alt = "";
  text.textContent = caption;
  button.append(image, text);
  button.addEventListener("click", onClick);
  const entry = document.createElement("li");
  entry.append(button);
  return { entry, button };
}

function showTray() {
  $("tray-part").hidden = !items.length;
  const focused = [...$("tray").children].findIndex(entry => entry.contains(document.activeElement));
  $("tray").replaceChildren(...items.map(item => {
    const { entry, button } = tile(item.source, item.name, () => { shown = item; show(); });
    const score = document.createElement("span");
    score.textContent = item.error ? "no answer" : item.reply ? rowsOf(item)[0]?.label ?? nothingOf(item) : "…";
    button.append(score);
    button.setAttribute("aria-pressed", String(item === shown));
    return entry;
  }));
  $("tray").children[focused]?.firstChild.focus();
}

async function choose(chosen) {
  model = await modelOf(chosen);
  $("version").hidden = false;
  $("version").textContent = "version " + model.version;
  $("samples-part").hidden = !model.samples.length;
  $("samples").replaceChildren(...model.samples.map(({ name: title, url }) =>
    tile(url, title, () => takeSample(title, url)).entry));
  $("about").hidden = false;
  $("facts").replaceChildren(...Object.entries(factsOf(model)).flatMap(([term, text]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  $("card-part").hidden = !model.card;
  $("card").replaceChildren(...cardOf(model.card || ""));
}

function factsOf({ name: title, version, signature, input, info, preprocessing: how, class_names: names, attention }) {
  const facts = { Name: title, Version: version };
  if (signature) {
    const sides = info.tensor_shape.dim.map(({ size }) => (size === "-1" ? "any" : size)).join(", ");
    facts.Signature = signature;
    facts.Input = `${input}, ${info.dtype}, (${sides})`;
  }
  if (how?.size) facts.Image = `${how.size.join("x")}, ${how.crop ? `centre crop of ${how.crop}` : "whole"}, ${how.interpolation}`;
  const told = names?.filter(Boolean) ?? [], looks = Object.keys(attention || {}).length;
  if (told.length) facts.Classes = `${told.length}: ${told.slice(0, 10).join(", ")}${told.length > 10 ? ", …" : ""}`;
  if (looks) facts.Attention = looks > 1 ? `${looks} layers` : "1 layer";
  return facts;
}

async function takeSample(title, url) {
  try {
    const reply = await fetch(url);
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    take([{ name: title, file: await reply.blob(), url: new URL(url, document.baseURI).href }]);
  } catch (error) {
    say(`${title}: ${error.message}`, true);
  }
}

function takeFiles(files) {
  take([...files].map(file => ({ name: file.name || "picture", file })));
}

function clear() {
  for (const item of items) URL.revokeObjectURL(item.source);
  items = [];
  shown = null;
  show();
  $("file").focus();
}

async function copy(id, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText($(id).textContent);
    button.textContent = "Copied";
  } catch {  // not over plain HTTP from elsewhere: it is marked, to be copied by hand
    getSelection().selectAllChildren($(id));
    button.textContent = "Marked: copy it";
  }
  setTimeout(() => { button.textContent = before; }, 2000);
}

$("opacity").value = 100 * OPACITY;
for (const id of ["file", "capture"])
  $(id).addEventListener("change", event => {
    takeFiles(event.target.files);
    event.target.value = "";  // so that the same file can be chosen again
  });
$("layer").addEventListener("input", () => {
  $("head").value = 0;
  draw();
  lookedAt = $("layer-name").textContent;
});
for (const id of ["head", "opacity"]) $(id).addEventListener("input", draw);
$("model").addEventListener("change", async () => {
  try {
    await choose($("model").value);
  } catch (error) {
    return say(error.message, true);
  }
  if (items.length) askAll(items);
});
$("clear").addEventListener("click", clear);
$("camera").addEventListener("click", () => openCamera().catch(error => say(error.message, true)));
$("close-camera").addEventListener("click", closeCamera);
$("shoot").addEventListener("click", async () => take([await shoot()]));
for (const button of document.querySelectorAll("[data-copies]"))
  button.addEventListener("click", () => copy(button.dataset.copies, button));
document.addEventListener("paste", event => takeFiles(event.clipboardData.files));
for (const type of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(type, event => {
    event.preventDefault();
    $("drop").classList.toggle("over", type.startsWith("dragenter") || type === "dragover");
  });
document.addEventListener("drop", event => takeFiles(event.dataTransfer.files));

try {
  const { models } = await json("models");
  $("model").replaceChildren(...models.map(name => new Option(name)));
  if (models.length) await choose(models[0]);
  else say("The server has no model.", true);
} catch (error) {
  say(error.message, true);
}
