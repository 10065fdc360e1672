// The page: files in, answers out.

import { caption, csvOf, download, jsonOf, neighbour, row, sentence, warning } from "./answers.js";
import { $, bytesOf, counted, dropped, made, option } from "./pieces.js";
import { Picture, contrastOf, greyOf, hottestOf } from "./picture.js";

const SHOWN = 8; // compartments before "show all", and heat maps asked for at first
const ALL = 28; // the most heat maps the server makes
const KEPT = 20; // requests of this visit
const HINT = "Point at a compartment to see where the model sees it.";
const picture = new Picture($("picture"));
const visits = [];
let models = [];
let visit = null; // {reply, files, model, stains, at}
let field = null; // one of visit.reply.fields
let kept = null; // the compartment whose heat map stays
let wanted = null; // the one whose heat map is to be seen

let ready = load(); // a field may be dropped before the models are known
listen();

async function load() {
  try {
    models = await asked("v1/models");
    $("model").replaceChildren(...models.map(({ name }) => option(name)));
    told();
    const names = await asked("v1/examples");
    $("examples").replaceChildren($("examples").firstElementChild, ...names.map(exampleButton));
  } catch (error) {
    complain(error);
  }
}

function listen() {
  $("model").addEventListener("change", told);
  $("again").addEventListener("click", () => send(visit.files));
  $("token").addEventListener("change", () => (ready = load()));
  $("files").addEventListener("change", () => send([...$("files").files]));
  $("folder").addEventListener("change", () => send([...$("folder").files]));
  $("which").addEventListener("change", () => show(visit.reply.fields[$("which").selectedIndex]).catch(complain));
  $("more").addEventListener("click", () => list($("more").getAttribute("aria-expanded") !== "true"));
  $("closer").addEventListener("click", () => picture.zoomBy(1.5));
  $("farther").addEventListener("click", () => picture.zoomBy(1 / 1.5));
  $("whole").addEventListener("click", () => picture.zoomBy(0));
  $("csv").addEventListener("click", () => download("answers.csv", "text/csv", csvOf(visit.reply)));
  $("json").addEventListener("click", () => download("answers.json", "application/json", jsonOf(visit.reply)));
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
    });
  }
  document.addEventListener("drop", (event) => dropped(event.dataTransfer).then(send).catch(complain));
}

function told() {
  const model = models.find((each) => each.name === $("model").value);
  $("caution").textContent = model.caution;
  $("caution").hidden = !model.caution;
  const notes = (visit?.reply.notes ?? []).filter((note) => note !== model.caution); // that stands above
  $("notes").replaceChildren(...notes.map((note) => made("li", { textContent: note })));
  $("named").textContent = model.suffixes.map((suffix) => `1${suffix}.png`).join(", ");
  $("order").textContent = model.stains.join(", ");
  $("stains").placeholder = model.stains.map((name, place) => `${name}=${model.suffixes[place]}`).join(",");
  $("again-line").hidden = !visit || visit.model === model.name;
  $("again").textContent = `Ask ${model.name} about the same files`;
}

function exampleButton(name) {
  const button = made("button", { type: "button", textContent: name });
  button.addEventListener("click", () => tryExample(name).catch(complain));
  return button;
}

// -- asking

async function asked(path, init = {}) {
  const headers = $("token").value ? { Authorization: `Bearer ${$("token").value}` } : {};
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401) $("otherwise").open = true;
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

async function send(given) {
  const files = given.filter(isImage);
  $("files").value = $("folder").value = "";
  if (!files.length) return complain(new Error("No PNG, TIFF or JPEG file was given."));
  say(`Reading ${counted(files.length, "file")}…`, "busy");
  try {
    await ready;
    const asking = { files, model: $("model").value, stains: $("stains").value.trim() };
    const reply = await question("v1/predict", asking, { pictures: "true" });
    visits.unshift({ ...asking, reply, at: new Date() });
    visits.length = Math.min(visits.length, KEPT);
    await open(visits[0]);
  } catch (error) {
    complain(error);
  }
}

async function tryExample(name) {
  say(`Drawing a simulated field: ${name}…`, "busy");
  const example = await asked(`v1/examples/${encodeURIComponent(name)}`);
  await send(example.files.map(({ name: file, png }) => new File([bytesOf(png)], file, { type: "image/png" })));
}

const isImage = (file) => /\.(png|tiff?|jpe?g)$/i.test(file.name) && !file.name.startsWith("._");

// -- showing

async function open(chosen) {
  visit = chosen;
  const { reply } = visit;
  $("which").replaceChildren(...reply.fields.map((each) => option(each.id)));
  $("seen").hidden = $("answers").hidden = $("history").hidden = false;
  $("visits").replaceChildren(...visits.map(visitLine));
  told();
  await show(reply.fields[0]);
  const rejected = Object.entries(reply.rejected).map(([name, reason]) => (reason.startsWith(name) ? reason : `${name}: ${reason}`));
  const count = `${counted(reply.fields.length, "field")} answered by ${reply.model} from ${reply.stains.join(", ")}.`;
  say([count, ...rejected].join(" "), rejected.length ? "wrong" : "");
}

async function show(chosen) {
  field = chosen;
  kept = wanted = null;
  const shown = await Promise.all(
    field.pictures.map(async ({ stain, colour, png }) => {
      const { grey, side } = await greyOf(png);
      return { name: stain, grey, side, on: true, colour, ...contrastOf(grey) };
    }),
  );
  if (field !== chosen) return; // another was chosen meanwhile
  picture.zoomBy(0);
  picture.show(shown);
  $("picture").setAttribute("aria-label", `${field.id}, ${field.width} by ${field.height} pixels. ${sentence(field)}`);
  $("switches").replaceChildren(...shown.map(switches));
  $("warnings").replaceChildren(...field.warnings.map(warning));
  $("sentence").textContent = sentence(field);
  $("classes").caption.textContent = caption(field);
  $("neighbours").replaceChildren(...field.neighbours.map(neighbour));
  $("alike").hidden = !field.neighbours.length;
  list(false);
  note(HINT);
}

function list(all) {
  const rows = all ? field.classes : field.classes.slice(0, SHOWN);
  $("more").hidden = field.classes.length <= SHOWN;
  $("more").setAttribute("aria-expanded", String(all));
  $("more").textContent = all ? "Show fewer" : `Show all ${field.classes.length} compartments`;
  $("classes").tBodies[0].replaceChildren(...rows.map((answer) => row(answer, (line, button) => listenTo(answer.name, line, button))));
  mark();
}

function listenTo(name, line, button) {
  line.addEventListener("mouseenter", () => see(name));
  line.addEventListener("mouseleave", () => see(kept));
  button.addEventListener("focus", () => see(name));
  button.addEventListener("blur", () => see(kept));
  button.addEventListener("click", () => {
    kept = kept === name ? null : name;
    mark();
    see(kept ?? name);
  });
}

function mark() {
  for (const line of $("classes").tBodies[0].rows) {
    const is = line.dataset.name === kept;
    line.classList.toggle("kept", is);
    line.querySelector("button").setAttribute("aria-pressed", String(is));
  }
}

function visitLine(each) {
  const ids = each.reply.fields.map((one) => one.id);
  const more = ids.length > 3 ? ` and ${ids.length - 3} more` : "";
  const text = `${each.at.toLocaleTimeString()} ${each.reply.model}: ${ids.slice(0, 3).join(", ")}${more}. ${sentence(each.reply.fields[0])}`;
  const again = made("button", { type: "button", textContent: text });
  again.setAttribute("aria-current", String(each === visit));
  again.addEventListener("click", () => open(each).catch(complain));
  return made("li", {}, again);
}

// -- where the model sees a compartment

async function see(name) {
  wanted = name;
  if (name === null) {
    picture.setHeat(null);
    return note(HINT);
  }
  const [from, here] = [visit, field];
  if (!models.find((each) => each.name === from.model).explains) return note(`${from.model} answers, but has no heat maps.`);
  note(`Looking where the model sees ${name}…`);
  try {
    const found = await heatOf(from, here, name);
    if (wanted !== name || field !== here) return;
    const protein = proteinOf(models.find((each) => each.name === from.model));
    picture.setHeat(found?.heat ?? null, protein);
    const where = found && `seen most at the ${hottestOf(found.heat)}. In grey: ${protein}.${adds(found.stains)}`;
    note(found ? `${name}: ${where}` : `No heat map of ${name}.`, Boolean(found));
  } catch (error) {
    if (wanted === name) note(error.message);
  }
}

function proteinOf({ needed, stains }) {
  return needed.length > 1 && stains.includes("green") ? "green" : needed[0];
}

function note(words, ramp = false) {
  $("heat-note").textContent = words;
  $("ramp").hidden = !ramp;
}

function adds(stains) {
  const known = Object.entries(stains).filter(([, value]) => value !== null);
  if (!known.length) return "";
  const signed = (value) => `${value < -0.05 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
  return ` What the other stains add to its log odds: ${known.map(([name, value]) => `${name} ${signed(value)}`).join(", ")}.`;
}

// The heat map of a compartment of a field: the likeliest are asked for together, all only if one of the others is wanted.
async function heatOf(from, here, name) {
  here.heats ??= {};
  for (const count of [SHOWN, ALL]) {
    here.heats[count] ??= explained(from, here, count);
    const found = await here.heats[count].catch((error) => {
      delete here.heats[count]; // to be asked again
      throw error;
    });
    const map = found.maps.find((each) => each.name === name);
    if (map) return { heat: await greyOf(map.png), stains: found.stains[name] };
  }
  return null;
}

async function explained(from, here, classes) {
  const own = from.files.filter((file) => file.name.startsWith(here.source));
  const reply = await question("v1/explain", { ...from, files: own.length ? own : from.files }, { classes: String(classes) });
  return reply.fields.find((each) => each.id === here.id);
}

// -- the stains

function switches(stain) {
  const on = control("checkbox", { checked: true }, () => (stain.on = on.checked));
  const hex = `#${stain.colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  const colour = control("color", { value: hex }, () => {
    stain.colour = [1, 3, 5].map((from) => parseInt(colour.value.slice(from, from + 2), 16));
  });
  colour.setAttribute("aria-label", `Colour of ${stain.name}`);
  const contrast = control("range", { min: 4, max: 255, value: 259 - stain.brightest }, () => {
    stain.brightest = 259 - Number(contrast.value);
  });
  contrast.setAttribute("aria-label", `Contrast of ${stain.name}`);
  return made("div", { className: "stain" }, made("label", {}, on, ` ${stain.name}`), colour, made("span", { className: "quiet", textContent: "contrast" }), contrast);
}

function control(type, values, changed) {
  const input = Object.assign(made("input", { type }), values); // min and max before the value
  input.addEventListener("input", () => {
    changed();
    picture.draw();
  });
  return input;
}

// -- what is said

function say(words, how = "") {
  $("status").textContent = words;
  $("status").className = how;
}

function complain(error) {
  say(error.message, "wrong");
}
