// What the model says of a field, in words, as rows of a table, as files to keep.

import { drawn, made, percent } from "./pieces.js";

const WORDS = { present: "● present", ask: "◐ ask an expert", absent: "○ absent" };
const LIKELY = "◕ likely, ask an expert";
const TERM = "https://amigo.geneontology.org/amigo/term/";

export function sentence({ classes }) {
  const names = (verdict) => classes.filter((each) => each.verdict === verdict).map((each) => each.name);
  const present = names("present");
  const likely = classes.filter((each) => each.called && each.verdict === "ask").map((each) => each.name);
  const asked = names("ask").length;
  return [
    present.length ? `Present: ${present.join(", ")}.` : "Nothing is certainly present.",
    likely.length ? `Likely: ${likely.join(", ")}.` : "",
    asked ? `${asked} ${asked === 1 ? "compartment needs" : "compartments need"} an expert's eye,` : "Of the others,",
    `${names("absent").length} are absent.`,
  ].filter(Boolean).join(" ");
}

// A row of the table; `listen` is told its button and itself.
export function row(answer, listen) {
  const button = made("button", { type: "button", className: "compartment", textContent: answer.name });
  button.setAttribute("aria-pressed", "false");
  const likely = answer.called && answer.verdict === "ask";
  const line = made(
    "tr",
    {},
    made("th", { scope: "row" }, button, ...link(answer)),
    made("td", { className: answer.verdict, textContent: likely ? LIKELY : WORDS[answer.verdict] }),
    made("td", {}, bar(answer), made("span", { className: "number", textContent: percent(answer.probability) }), ...interval(answer)),
  );
  line.dataset.name = answer.name;
  listen(line, button);
  return line;
}

function link({ go, name }) {
  if (!go) return [];
  const made_ = made("a", { textContent: go, href: TERM + encodeURIComponent(go), rel: "noopener noreferrer", target: "_blank" });
  made_.setAttribute("aria-label", `${go}, ${name} in the Gene Ontology, another site`);
  return [made_];
}

const known = ({ low, high }) => Number.isFinite(low) && Number.isFinite(high);

function interval(answer) {
  if (!known(answer)) return [];
  return [" ", made("span", { className: "interval number", textContent: `(${percent(answer.low)} to ${percent(answer.high)})` })];
}

// The probability as a bar, its interval as a whisker over it.
function bar(answer) {
  const { probability, verdict } = answer;
  const parts = [
    drawn("rect", { class: "track", width: 100, height: 6, y: 3 }),
    drawn("rect", { class: "share", width: 100 * probability, height: 6, y: 3 }),
  ];
  if (known(answer)) {
    const [low, high] = [100 * answer.low, 100 * answer.high];
    for (const [x1, x2, y1, y2] of [[low, high, 6, 6], [low, low, 1, 11], [high, high, 1, 11]]) parts.push(drawn("line", { x1, x2, y1, y2 }));
  }
  return drawn("svg", { class: `bar ${verdict}`, viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

export function caption({ classes }) {
  const first = "Compartments, the most probable first. Point at one, or move to it with Tab, to see where the model sees it; click to keep that.";
  return classes.some(known) ? `${first} In brackets, and as whiskers: the 95 % interval of the probability.` : first;
}

export function neighbour({ id, similarity, labels }) {
  const told = labels === null ? "labels not known" : labels.join(", ") || "no compartment";
  return made("li", { textContent: `${told} (${id}, similarity ${similarity.toFixed(2)})` });
}

export function warning({ severity, sentence: found, remedy }) {
  return made("li", { className: severity ?? "warning" }, made("strong", { textContent: found }), ` ${remedy}`);
}

export function csvOf({ fields }) {
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""').replace(/^([=+\-@\t\r])/, "'$1")}"`;
  const lines = fields.flatMap(({ id, classes }) =>
    classes.map((each) =>
      [quoted(id), each.id, quoted(each.name), each.go, each.probability, each.low ?? "", each.high ?? "", each.called, each.verdict].join(","),
    ),
  );
  return ["field,class,compartment,go,probability,low,high,called,answer", ...lines, ""].join("\r\n");
}

export function jsonOf(reply) {
  const fields = reply.fields.map(({ pictures, heats, ...kept }) => kept);
  return JSON.stringify({ ...reply, fields }, null, 1);
}

export function download(name, type, content) {
  const place = URL.createObjectURL(new Blob([content], { type }));
  made("a", { href: place, download: name }).click();
  URL.revokeObjectURL(place);
}
