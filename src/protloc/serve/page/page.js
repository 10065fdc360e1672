// The page: files in, answers out. Everything a server sends is set as text, never as markup.

import { Picture, brightestOf, greyOf } from "./picture.js";

const SHOWN = 8; // compartments before "show all"
const HEAT_MAPS = 28;
const $ = (id) => document.getElementById(id);
const picture = new Picture($("picture"));
const visits = [];
let models = [];
let visit = null; // {reply, files, model, stains, at}
let field = null; // one of visit.reply.fields, with pictures decoded

const ready = load(); // a field may be dropped before the models are known
ready.catch(complain);
listen();

async function load() {
  models = await asked("v1/models");
  for (const model of models) $("model").append(option(model.name));
  told();
  for (const name of await asked("v1/examples")) $("example").append(option(name));
}

function listen() {
  $("model").addEventListener("change", told);
  $("files").addEventListener("change", () => send([...$("files").files]));
  $("folder").addEventListener("change", () => send([...$("folder").files].filter(isImage)));
  $("example").addEventListener("change", () => tryExample($("example").value).catch(complain));
  $("which").addEventListener("change", () => show(visit.reply.fields[$("which").selectedIndex]).catch(complain));
  $("more").addEventListener("click", () => list($("more").getAttribute("aria-expanded") !== "true"));
  $("closer").addEventListener("click", () => picture.zoomBy(1.5));
  $("farther").addEventListener("click", () => picture.zoomBy(1 / 1.5));
  $("whole").addEventListener("click", () => picture.zoomBy(0));
  $("csv").addEventListener("click", () => download("answers.csv", "text/csv", csvOf(visit.reply)));
  $("json").addEventListener("click", () => download("answers.json", "application/json", jsonOf(visit.reply)));
  const drop = $("drop");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
    });
  }
  document.addEventListener("drop", async (event) => send((await dropped(event.dataTransfer)).filter(isImage)));
}

function told() {
  const model = models.find((each) => each.name === $("model").value);
  $("caution").textContent = model.caution;
  $("caution").hidden = !model.caution;
  const needed = model.stains.indexOf(model.needed[0]);
  $("named").textContent = `ID${model.suffixes[needed]}.png`;
  $("stains").placeholder = model.stains.map((name, place) => `${name}=${model.suffixes[place]}`).join(",");
}

// -- asking

async function asked(path, init = {}) {
  const headers = $("token").value ? { Authorization: `Bearer ${$("token").value}` } : {};
  const response = await fetch(path, { ...init, headers });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail || `The server answered ${response.status}. Try again.`);
  return body;
}

function question(path, { files, model, stains }, more) {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  const query = new URLSearchParams({ model, ...more });
  if (stains) query.set("stains", stains);
  return asked(`${path}?${query}`, { method: "POST", body: form });
}

async function send(files) {
  if (!files.length) return complain(new Error("No PNG, TIFF or JPEG file was given."));
  say(`Reading ${files.length} ${files.length === 1 ? "file" : "files"}…`);
  try {
    await ready;
    const asking = { files, model: $("model").value, stains: $("stains").value.trim() };
    const reply = await question("v1/predict", asking, { pictures: "true" });
    visits.unshift({ ...asking, reply, at: new Date() });
    await open(visits[0]);
    remember();
  } catch (error) {
    complain(error);
  }
  $("files").value = $("folder").value = "";
}

async function tryExample(name) {
  if (!name) return;
  say(`Drawing a simulated field with ${name}…`);
  const example = await asked(`v1/examples/${encodeURIComponent(name)}`);
  await send(example.files.map(({ name: file, png }) => new File([bytesOf(png)], file, { type: "image/png" })));
  $("example").value = "";
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return entries.length ? (await Promise.all(entries.map(filesOf))).flat() : [...transfer.files];
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length; ) found.push(...some);
  return (await Promise.all(found.filter((each) => each.isFile).map(filesOf))).flat();
}

const isImage = (file) => /\.(png|tiff?|jpe?g)$/i.test(file.name) && !file.name.startsWith("._");

// -- showing

async function open(chosen) {
  visit = chosen;
  const { reply } = visit;
  const rejected = Object.entries(reply.rejected).map(([name, reason]) => `${name}: ${reason}`);
  const count = `${reply.fields.length} ${reply.fields.length === 1 ? "field" : "fields"} answered by ${reply.model}, by ${reply.stains.join(", ")}.`;
  say([count, ...rejected].join(" "), rejected.length > 0);
  $("which").replaceChildren(...reply.fields.map((each) => option(each.id)));
  fill($("notes"), reply.notes, (note) => item(note));
  $("field").hidden = $("answers").hidden = false;
  await show(reply.fields[0]);
}

async function show(chosen) {
  field = chosen;
  const shown = await Promise.all(
    field.pictures.map(async ({ stain, colour, png }) => {
      const { grey, side } = await greyOf(png);
      return { name: stain, grey, side, on: true, colour, brightest: brightestOf(grey) };
    }),
  );
  picture.zoomBy(0);
  picture.show(shown);
  $("picture").setAttribute("aria-label", `${field.id}: ${sentence(field)} Plus and minus zoom, arrows move, 0 shows all.`);
  $("stain-switches").replaceChildren($("stain-switches").firstElementChild, ...shown.map(switches));
  fill($("warnings"), field.warnings, ({ sentence: found, remedy }) => item(`${found} ${remedy}`));
  $("sentence").textContent = sentence(field);
  fill($("neighbours"), field.neighbours, ({ id, similarity, labels }) =>
    item(`${id}: ${labels === null ? "labels not known" : labels.join(", ") || "none"} (similarity ${similarity.toFixed(2)})`),
  );
  $("alike").hidden = !field.neighbours.length;
  list(false);
}

function sentence({ classes }) {
  const names = (verdict) => classes.filter((each) => each.verdict === verdict).map((each) => each.name);
  const called = classes.filter((each) => each.called).map((each) => each.name);
  const present = names("present");
  const ask = names("ask").length;
  const first = present.length ? `Present: ${present.join(", ")}.` : "Nothing is certainly present.";
  const likely = called.filter((name) => !present.includes(name));
  const second = likely.length ? ` Likely: ${likely.join(", ")}.` : "";
  return `${first}${second} ${ask} ${ask === 1 ? "compartment needs" : "compartments need"} an expert's eye.`;
}

function list(all) {
  const rows = all ? field.classes : field.classes.slice(0, SHOWN);
  $("more").setAttribute("aria-expanded", String(all));
  $("more").textContent = all ? "Show fewer" : "Show all compartments";
  $("classes").tBodies[0].replaceChildren(...rows.map(row));
}

function row(answer) {
  const line = document.createElement("tr");
  line.tabIndex = 0;
  line.dataset.name = answer.name;
  const words = { present: "present", ask: "ask an expert", absent: "absent" };
  const verdict = cell(answer.called && answer.verdict === "ask" ? "likely, ask an expert" : words[answer.verdict]);
  verdict.className = answer.verdict;
  const probability = cell("");
  const meter = document.createElement("meter");
  meter.value = answer.probability;
  meter.setAttribute("aria-hidden", "true");
  const number = document.createElement("span");
  number.className = "number";
  const range = answer.low === null ? "" : ` (${percent(answer.low)} to ${percent(answer.high)})`;
  number.textContent = ` ${percent(answer.probability)}${range}`;
  probability.append(meter, number);
  const go = cell("");
  if (answer.go) go.append(link(answer.go, `https://amigo.geneontology.org/amigo/term/${answer.go}`));
  line.append(cell(answer.name), verdict, probability, go);
  for (const name of ["mouseenter", "focus"]) line.addEventListener(name, () => heat(answer.name).catch(complain));
  for (const name of ["mouseleave", "blur"]) line.addEventListener(name, () => unheat());
  return line;
}

let wanted = null;

async function heat(name) {
  wanted = name;
  const here = field;
  here.explained ??= explained(here);
  $("heat-note").textContent = `Where did the model see ${name}?`;
  const maps = await here.explained;
  if (wanted !== name || field !== here) return;
  const map = maps.maps.find((each) => each.name === name);
  $("heat-note").textContent = map
    ? `${name}: the model's evidence lies where the picture is tinted red to white.${adds(maps.stains[name])}`
    : `No heat map of ${name}.`;
  picture.setHeat(map ? await greyOf(map.png) : null);
}

function unheat() {
  wanted = null;
  picture.setHeat(null);
}

function adds(stains) {
  const told = Object.entries(stains ?? {}).filter(([, value]) => value !== null);
  if (!told.length) return "";
  return ` Without a stain the evidence would change by: ${told.map(([name, value]) => `${name} ${(-value).toFixed(1)}`).join(", ")} (log-odds).`;
}

async function explained(here) {
  const model = models.find((each) => each.name === visit.model);
  const suffixes = visit.stains ? visit.stains.split(",").map((word) => word.split("=")[1] ?? `_${word}`) : model.suffixes;
  const stems = new Set([here.id, ...suffixes.map((suffix) => `${here.id}${suffix}`)]);
  const own = visit.files.filter((file) => stems.has(file.name) || stems.has(file.name.replace(/\.[^.]+$/, "")));
  const found = await question("v1/explain", { ...visit, files: own }, { classes: String(HEAT_MAPS) });
  return found.fields[0];
}

function switches(stain) {
  const line = document.createElement("div");
  line.className = "stain";
  const on = input("checkbox", { checked: true }, () => (stain.on = on.checked));
  const named = document.createElement("label");
  named.append(on, ` ${stain.name}`);
  const hex = `#${stain.colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  const colour = input("color", { value: hex }, () => {
    stain.colour = [1, 3, 5].map((from) => parseInt(colour.value.slice(from, from + 2), 16));
  });
  colour.setAttribute("aria-label", `Colour of ${stain.name}`);
  const contrast = input("range", { min: 4, max: 255, value: 259 - stain.brightest }, () => {
    stain.brightest = 259 - Number(contrast.value);
  });
  contrast.setAttribute("aria-label", `Contrast of ${stain.name}`);
  line.append(named, colour, contrast);
  return line;
}

function remember() {
  $("history").hidden = false;
  fill($("visits"), visits, (each) => {
    const line = document.createElement("li");
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = `${each.at.toLocaleTimeString()}: ${each.reply.fields.map((one) => one.id).slice(0, 3).join(", ")}${each.reply.fields.length > 3 ? ", …" : ""} (${each.reply.model})`;
    again.addEventListener("click", () => open(each).catch(complain));
    line.append(again);
    return line;
  });
}

// -- files to keep

function csvOf({ fields }) {
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""').replace(/^([=+\-@\t\r])/, "'$1")}"`;
  const lines = fields.flatMap(({ id, classes }) =>
    classes.map((each) =>
      [quoted(id), each.id, quoted(each.name), each.go, each.probability, each.low ?? "", each.high ?? "", each.called, each.verdict].join(","),
    ),
  );
  return ["field,class,compartment,go,probability,low,high,called,answer", ...lines, ""].join("\r\n");
}

function jsonOf(reply) {
  const fields = reply.fields.map(({ pictures, explained: _, ...kept }) => kept);
  return JSON.stringify({ ...reply, fields }, null, 1);
}

function download(name, type, content) {
  const place = URL.createObjectURL(new Blob([content], { type }));
  const anchor = document.createElement("a");
  anchor.href = place;
  anchor.download = name;
  anchor.click();
  URL.revokeObjectURL(place);
}

// -- small pieces

function say(words, wrong = false) {
  $("status").textContent = words;
  $("status").classList.toggle("wrong", wrong);
}

function complain(error) {
  say(error.message, true);
}

function fill(list, values, make) {
  list.replaceChildren(...values.map(make));
}

function option(name) {
  const made = document.createElement("option");
  made.value = made.textContent = name;
  return made;
}

function item(words) {
  const made = document.createElement("li");
  made.textContent = words;
  return made;
}

function cell(words) {
  const made = document.createElement("td");
  made.textContent = words;
  return made;
}

function link(words, href) {
  const made = document.createElement("a");
  Object.assign(made, { textContent: words, href, rel: "noopener noreferrer", target: "_blank" });
  return made;
}

function input(type, values, changed) {
  const made = Object.assign(document.createElement("input"), { type });
  Object.assign(made, values);
  made.addEventListener("input", () => {
    changed();
    picture.draw();
  });
  return made;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
