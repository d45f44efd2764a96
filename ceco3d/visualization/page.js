// The controls around the scene: legend, search, the table of the selected point, keys and buttons.

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
}

function swatch(color) {
  const made = element("span", "");
  made.className = "swatch";
  made.style.background = `rgb(${color.join()})`;
  return made;
}

// Shows the labels of a point in every panel.
function describe(view, index) {
  view.selected = index;
  view.request();
  const table = document.querySelector("#picked table"), hint = document.querySelector("#picked .hint");
  table.hidden = index < 0;
  hint.hidden = index >= 0;
  if (index < 0) return;
  const place = view.place(index).toArray().map((value, axis) => (value + meta.low[axis]).toFixed(2));
  const color = Array.from(view.data.color.subarray(3 * index, 3 * index + 3));
  const head = element("tr", "", element("th", "panel"), element("th", "label"), element("th", "confidence"));
  const where = element("td", ` at ${place.join(", ")} m`);
  const original = element("tr", "", element("td", "Original"), where, element("td", ""));
  where.prepend(swatch(color));
  const truth = meta.truth ? view.data.labels[0][index] : NONE;
  const lines = meta.panels.map((panel, slot) => {
    const label = view.data.labels[slot][index];
    const item = meta.classes.find(other => other.index === label);
    const name = element("td", ` ${item.name}`);
    name.prepend(swatch(item.color));
    if (truth !== NONE && label !== truth) {
      name.append(Object.assign(element("span", " (wrong)"), { className: "mistake" }));
    }
    const share = view.data.confidence[slot];
    const confidence = share ? `${Math.round(share[index] / 2.55)} %` : "";
    return element("tr", "", element("td", panel.title), name, element("td", confidence));
  });
  table.replaceChildren(head, original, ...lines);
}

function buildLegend(view) {
  const [head, body] = [document.querySelector("#legend thead"), document.querySelector("#legend tbody")];
  const titles = meta.panels.map(panel => element("th", panel.title));
  head.append(element("tr", "", element("th", "class (points in each panel)"), ...titles));
  const lines = meta.classes.map(item => {
    const box = Object.assign(element("input", ""), { type: "checkbox", checked: true });
    const name = [element("span", item.name), element("small", item.group)];
    const label = element("label", "", box, swatch(item.color), ...name);
    const line = element("tr", "", element("td", "", label));
    line.append(...item.counts.map(count => element("td", count ? count.toLocaleString("en") : "–")));
    const show = visible => {
      box.checked = visible;
      line.classList.toggle("off", !visible);
      view.setVisible(item.index, visible);
    };
    const highlight = on => view.set("highlight", on && box.checked ? item.index : -1);
    box.addEventListener("change", () => { show(box.checked); highlight(false); });
    line.addEventListener("mouseenter", () => highlight(true));
    line.addEventListener("mouseleave", () => highlight(false));
    body.append(line);
    return { item, line, show };
  });
  const search = () => {
    const wanted = byId("search").value.trim().toLowerCase();
    for (const { item, line } of lines) line.hidden = !item.name.toLowerCase().includes(wanted);
    const found = lines.filter(({ line }) => !line.hidden).length;
    byId("found").textContent = wanted ? `${found} of ${lines.length} classes` : `${lines.length} classes`;
  };
  byId("search").addEventListener("input", search);
  byId("show").addEventListener("click", () => lines.forEach(({ line, show }) => line.hidden || show(true)));
  byId("hide").addEventListener("click", () => lines.forEach(({ line, show }) => line.hidden || show(false)));
  byId("only").addEventListener("click", () => lines.forEach(({ line, show }) => show(!line.hidden)));
  search();
}

function connect(view) {
  byId("above").addEventListener("click", () => view.look("above"));
  byId("corner").addEventListener("click", () => view.look("corner"));
  byId("mode").addEventListener("change", event => {
    view.set("mode", Number(event.target.value));
    byId("key").hidden = event.target.value === "0";
  });
  byId("mode").parentElement.hidden = !(meta.truth && meta.panels.length > 1);
  byId("point-size").addEventListener("input", event => view.set("radius", 2 * meta.radius * event.target.value));
  byId("cut").value = meta.cut;
  byId("cut").addEventListener("input", event => view.set("cut", Number(event.target.value)));
  byId("cull").addEventListener("change", event => view.set("cull", event.target.checked));
  byId("cull-label").hidden = !meta.normals;
  let pressed = null;
  view.canvas.addEventListener("pointerdown", event => { pressed = event; });
  view.canvas.addEventListener("pointerup", event => {
    const moved = pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY);
    if (pressed?.button === 0 && moved < 4) describe(view, view.pick(event.offsetX, event.offsetY));
    pressed = null;
  });
  const keys = {
    ArrowLeft: () => view.turn(-0.1, 0), ArrowRight: () => view.turn(0.1, 0),
    ArrowUp: () => view.turn(0, 0.1), ArrowDown: () => view.turn(0, -0.1),
    "+": () => view.approach(0.9), "=": () => view.approach(0.9), "-": () => view.approach(1 / 0.9),
    Escape: () => describe(view, -1),
  };
  view.stage.addEventListener("keydown", event => {
    if (!(event.key in keys)) return;
    keys[event.key]();
    event.preventDefault();
  });
}

async function start() {
  const count = meta.points.toLocaleString("en");
  byId("size").textContent =
    meta.points < meta.total ? `${count} of ${meta.total.toLocaleString("en")} points drawn` : `${count} points`;
  try {
    const view = new View(await unpack());
    buildLegend(view);
    connect(view);
    byId("message").textContent = "";
    document.body.dataset.ready = "true";
  } catch (error) {
    const needs = "The viewer needs WebGL 2 and a browser from 2023 or later.";
    byId("message").textContent = `Cannot draw the points: ${error.message}. ${needs}`;
    throw error;
  }
}

start();
