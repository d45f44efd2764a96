"use strict";
document.documentElement.classList.add("js");

const short = value => {
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e6) ? value.toExponential(2).replace(/\.?0*e\+?/, "e") : String(Number(value.toPrecision(4)));
};

const duration = seconds => {
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
};

// The same ticks as run_report_charts.py, for the range of the series that are shown.
function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find(factor => factor * power >= rough * 0.999) * power;
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.min(last - first + 1, 10) }, (_, k) => (first + k) * step);
}

class Chart {
  constructor(figure) {
    const data = JSON.parse(figure.dataset.chart);
    Object.assign(this, { unit: data.unit, zero: data.zero, scale: data.scale ?? 1, low: data.x[0], high: data.x[1], epochs: data.epochs,
      times: data.times });
    this.series = data.series.map((item, k) => ({ ...item, shown: true, slot: `c${k % 8}` }));
    this.plot = figure.querySelector(".plot");
    this.paths = [...figure.querySelectorAll("path[data-k]")];
    this.grid = figure.querySelector(".grid");
    this.labels = figure.querySelector(".ys");
    this.readout = figure.querySelector(".readout");
    this.rule = document.createElement("div");
    this.rule.className = "rule";
    this.rule.hidden = true;
    this.plot.append(this.rule);
    figure.querySelectorAll(".series button").forEach((button, k) => button.addEventListener("click", () => {
      this.series[k].shown = !this.series[k].shown;
      button.setAttribute("aria-pressed", this.series[k].shown);
      this.draw();
    }));
    this.listen();
  }

  listen() {
    const { plot } = this;
    const follow = event => {
      const box = plot.getBoundingClientRect();
      this.show(this.low + (event.clientX - box.left) / box.width * (this.high - this.low));
    };
    plot.addEventListener("pointermove", follow);
    plot.addEventListener("pointerdown", follow);
    plot.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") this.hide(); });
    plot.addEventListener("blur", () => this.hide());
    plot.addEventListener("keydown", event => {
      const steps = this.steps(), at = steps.indexOf(this.step);
      const next = { ArrowRight: Math.min(at + 1, steps.length - 1), ArrowLeft: at < 0 ? steps.length - 1 : Math.max(at - 1, 0),
        Home: 0, End: steps.length - 1 }[event.key];
      if (event.key === "Escape") this.hide();
      if (next === undefined) return;
      event.preventDefault();
      this.show(steps[next]);
    });
  }

  steps() {
    return [...new Set(this.series.filter(item => item.shown).flatMap(item => item.x))].sort((a, b) => a - b);
  }

  show(x) {
    const steps = this.steps();
    if (!steps.length) return this.hide();
    this.step = steps.reduce((best, step) => Math.abs(step - x) < Math.abs(best - x) ? step : best);
    const share = (this.step - this.low) / (this.high - this.low);
    const epoch = this.epochs.findLast(([first]) => first <= this.step);
    const title = document.createElement("div");
    const time = this.times.findLast(([step]) => step <= this.step);
    title.textContent = `step ${this.step}` + (epoch ? ` · epoch ${epoch[1]}` : "") + (time ? ` · ${duration(time[1])}` : "");
    const lines = this.series.flatMap(item => {
      const at = item.x.indexOf(this.step);
      if (!item.shown || at < 0) return [];
      const line = document.createElement("div"), mark = document.createElement("i"), value = document.createElement("b");
      line.className = item.slot;
      value.textContent = short(item.y[at]) + this.unit;
      line.append(mark, item.name, value);
      return [line];
    });
    this.readout.replaceChildren(title, ...lines);
    this.rule.hidden = false;
    this.rule.style.left = `${100 * share}%`;
    const right = share > 0.5;
    this.readout.style.left = right ? "auto" : `calc(${100 * share}% + 10px)`;
    this.readout.style.right = right ? `calc(${100 * (1 - share)}% + 10px)` : "auto";
  }

  hide() {
    this.step = undefined;
    this.readout.replaceChildren();
    this.rule.hidden = true;
  }

  draw() {
    const values = this.series.filter(item => item.shown).flatMap(item => item.y).map(y => y * this.scale);
    this.paths.forEach(path => { path.toggleAttribute("hidden", !this.series[path.dataset.k].shown); });
    this.hide();
    if (!values.length) return;
    let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    if (this.zero) low = Math.min(low, 0);
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    low = this.zero && low === 0 ? 0 : low - room;
    high += room;
    const down = value => 1000 * (high - value) / (high - low);
    const across = step => 1000 * (step - this.low) / (this.high - this.low);
    this.paths.forEach(path => {
      const { x, y } = this.series[path.dataset.k], dots = path.classList.contains("dots");
      path.setAttribute("d", x.map((step, k) =>
        `${k && !dots ? "L" : "M"}${across(step).toFixed(1)} ${down(y[k] * this.scale).toFixed(1)}${dots ? "h0" : ""}`).join(""));
    });
    const marks = ticks(low, high).filter(mark => Number.isFinite(mark / this.scale));
    this.grid.setAttribute("d", marks.map(mark => `M0 ${down(mark).toFixed(1)}H1000`).join(""));
    this.labels.replaceChildren(...marks.map(mark => {
      const label = document.createElement("span");
      label.textContent = short(mark / this.scale);
      label.style.top = `${down(mark) / 10}%`;
      return label;
    }));
  }
}

document.querySelectorAll(".chart").forEach(figure => new Chart(figure));

document.querySelectorAll(".views img").forEach(image => {
  image.tabIndex = 0;
  image.setAttribute("role", "button");
  const toggle = () => image.parentElement.classList.toggle("wide");
  image.addEventListener("click", toggle);
  image.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
  });
});

document.querySelectorAll("table.classes").forEach(table => {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const text = column < 2;
    const descending = head.ariaSort ? head.ariaSort === "ascending" : !text;
    heads.forEach(other => { other.ariaSort = null; });
    head.ariaSort = descending ? "descending" : "ascending";
    const compare = (a, b) => text ? key(a, column).localeCompare(key(b, column)) : key(a, column) - key(b, column);
    body.append(...rows.sort((a, b) => descending ? compare(b, a) : compare(a, b)));
  }));
  const tools = table.closest("section").querySelector(".tools");
  const search = tools.querySelector("input[type=search]"), boxes = [...tools.querySelectorAll("input[type=checkbox]")];
  const count = tools.querySelector("output");
  const filter = () => {
    const text = search.value.trim().toLowerCase(), off = boxes.filter(box => !box.checked).map(box => box.value);
    rows.forEach(row => {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(text) || off.includes(row.cells[1].textContent);
    });
    count.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} classes`;
  };
  tools.addEventListener("input", filter);
  filter();
});
