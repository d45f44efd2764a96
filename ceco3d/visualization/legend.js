// The legend: the classes that occur, with a search and a checkbox for each.

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
    const mark = visible => {
      box.checked = visible;
      line.classList.toggle("off", !visible);
    };
    const show = visible => {
      mark(visible);
      view.setVisible(item.index, visible);
    };
    const highlight = on => view.set("highlight", on && box.checked ? item.index : -1);
    box.addEventListener("change", () => { show(box.checked); highlight(false); });
    line.addEventListener("pointerenter", event => { if (event.pointerType === "mouse") highlight(true); });
    line.addEventListener("pointerleave", () => highlight(false));
    body.append(line);
    return { item, line, show, mark };
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
  return () => lines.forEach(({ item, mark }) => mark(!view.hidden.has(item.index)));
}
