// Lists what openapi.json says.

const { paths } = await (await fetch("openapi.json")).json();
const list = document.getElementById("paths");
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, { description, summary, parameters = [] }] of Object.entries(methods)) {
    const name = document.createElement("dt");
    name.append(Object.assign(document.createElement("code"), { textContent: `${method.toUpperCase()} ${path}` }));
    const what = Object.assign(document.createElement("dd"), { textContent: description ?? summary ?? "" });
    const told = document.createElement("ul");
    for (const each of parameters) {
      told.append(Object.assign(document.createElement("li"), { textContent: `${each.name}: ${each.description ?? ""}` }));
    }
    what.append(told);
    list.append(name, what);
  }
}
