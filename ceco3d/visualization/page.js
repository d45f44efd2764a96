// Connects the controls with the view, and starts it.

const ERROR_KEY = [["correct", RIGHT], ["wrong", WRONG], ["no ground truth", UNKNOWN]];
const STILL = { mouse: 4, touch: 12 }; // pixels that a click or a tap may move

// How many points are drawn, of how many.
function amount(drawn) {
  const [some, all] = [drawn, meta.total].map(count => count.toLocaleString("en"));
  if (drawn < meta.points) return `${some} of ${all} points while moving`;
  return drawn < meta.total ? `${some} of ${all} points, a random sample` : `${all} points`;
}

// The color modes that the data allows, and their names.
function modes() {
  return [
    ["classes", "classes"],
    ...(meta.truth && meta.panels.length > 1 ? [["errors", "errors"]] : []),
    ...(meta.panels.some(panel => panel.confidence) ? [["confidence", "confidence"]] : []),
    ...(meta.colored ? [["scan", "of the scan"]] : []),
  ];
}

function notify(text) {
  const notice = byId("notice");
  notice.textContent = text;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => { notice.textContent = ""; }, 5000);
}

function showKey(view) {
  const mode = MODES[view.uniforms.mode.value], key = byId("key");
  key.hidden = mode === "classes" || mode === "scan";
  if (mode === "errors") key.replaceChildren(...ERROR_KEY.map(([text, color]) => element("span", "", swatch(color), text)));
  if (mode === "confidence") {
    const ramp = element("span", "");
    ramp.className = "ramp";
    ramp.style.background = `linear-gradient(90deg, ${RAMP.map(color => `rgb(${color.join()})`).join()})`;
    key.replaceChildren(element("span", "confidence 0 %"), ramp, element("span", "100 %"));
  }
}

function buildTabs(view) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const open = (chosen, expanded) => {
    document.body.dataset.sheet = expanded ? "open" : "closed"; // on narrow screens
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab === chosen);
      tab.setAttribute("aria-expanded", tab === chosen && expanded);
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    view.boxShown = chosen.id === "tab-clip" && (expanded || !narrow.matches);
    view.request();
  };
  const narrow = matchMedia("(max-width: 820px)");
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => {
      const again = tab.ariaSelected === "true" && document.body.dataset.sheet === "open";
      open(tab, !(again && narrow.matches));
    });
    tab.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      next.focus();
      open(next, document.body.dataset.sheet === "open");
    });
  });
  narrow.addEventListener("change", () => open(tabs.find(tab => tab.ariaSelected === "true"), false));
  open(tabs[0], false);
}

function connectPointer(view) {
  const down = new Map();
  let tap = null;
  view.canvas.addEventListener("pointerdown", event => {
    down.set(event.pointerId, event);
    tap = down.size === 1 ? event : null; // two fingers are no tap
  });
  addEventListener("pointercancel", event => down.delete(event.pointerId));
  addEventListener("pointerup", event => {
    down.delete(event.pointerId);
    if (tap?.pointerId !== event.pointerId) return;
    const kind = event.pointerType === "touch" ? "touch" : "mouse";
    const moved = Math.hypot(event.clientX - tap.clientX, event.clientY - tap.clientY);
    if (tap.button === 0 && moved < STILL[kind]) choose(view, tap.offsetX, tap.offsetY, NEAR[kind]);
    tap = null;
  });
}

function choose(view, x, y, size) {
  const index = pick(view, x, y, size);
  if (!view.measuring) describe(view, index);
  else if (index >= 0) measure(view, index);
}

function connectKeys(view) {
  const middle = () => {
    const [panel] = view.shown;
    choose(view, Math.floor(panel.left + panel.width / 2), Math.floor(panel.top + panel.height / 2), NEAR.touch);
  };
  const keys = {
    ArrowLeft: () => view.turn(-0.1, 0), ArrowRight: () => view.turn(0.1, 0),
    ArrowUp: () => view.turn(0, 0.1), ArrowDown: () => view.turn(0, -0.1),
    "+": () => view.approach(0.9), "=": () => view.approach(0.9), "-": () => view.approach(1 / 0.9),
    Enter: middle, m: () => setMeasuring(view, !view.measuring),
    Escape: () => { describe(view, -1); setMeasuring(view, false); },
  };
  const panning = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };
  view.stage.addEventListener("keydown", event => {
    if (event.target !== view.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && event.key in panning) view.pan(...panning[event.key]);
    else if (event.key in keys) keys[event.key]();
    else return;
    event.preventDefault();
  });
}

function connect(view) {
  const on = (id, type, action) => byId(id).addEventListener(type, event => action(event.target));
  byId("mode").append(...modes().map(([value, text]) => new Option(text, value)));
  byId("mode").parentElement.hidden = modes().length < 2;
  byId("focus").append(new Option("all panels", ""), ...view.panels.map(panel => new Option(panel.title, panel.slot)));
  on("mode", "change", ({ value }) => { view.set("mode", MODES.indexOf(value)); showKey(view); });
  on("focus", "change", ({ value }) => view.setFocus(value === "" ? null : Number(value)));
  on("above", "click", () => view.look("above"));
  on("corner", "click", () => view.look("corner"));
  on("point-size", "input", ({ value }) => view.setPointSize(Number(value)));
  on("cull", "change", ({ checked }) => view.set("cull", checked));
  byId("cull-label").hidden = !meta.normals;
  on("measure", "click", () => setMeasuring(view, !view.measuring));
  on("screenshot", "click", () => takeScreenshot(view));
  on("share", "click", () => copyLink(view));
  on("center", "click", () => view.turnAround(view.selected));
  document.querySelector("#picked .close").addEventListener("click", () => describe(view, -1));
  document.querySelector("#measured .close").addEventListener("click", () => setMeasuring(view, false));
  connectPointer(view);
  connectKeys(view);
  buildTabs(view);
  view.canvas.addEventListener("webglcontextlost", () => {
    byId("message").textContent = "The graphics driver dropped this page. Reload it.";
  });
}

// Restores the view of the link, and keeps the link up to date from then on.
function connectLink(view, refreshLegend, refreshClip) {
  const restore = () => {
    const bad = readLink(view, location.hash);
    byId("mode").value = MODES[view.uniforms.mode.value];
    byId("cull").checked = view.uniforms.cull.value;
    byId("point-size").value = view.pointSize;
    refreshLegend();
    refreshClip();
    showKey(view);
    if (bad.length) notify(`The link does not fit this page (${bad.join(", ")}); shown as usual.`);
  };
  if (location.hash.length > 1) restore();
  addEventListener("hashchange", restore);
  let timer;
  view.changed = () => {
    byId("focus").value = view.focus ?? "";
    clearTimeout(timer);
    document.body.dataset.link = "stale";
    timer = setTimeout(() => {
      history.replaceState(null, "", writeLink(view));
      document.body.dataset.link = "current";
    }, 250);
  };
  document.body.dataset.link = "current";
  byId("focus").value = view.focus ?? "";
}

async function start() {
  byId("size").textContent = amount(meta.points);
  byId("sampled").hidden = meta.points === meta.total;
  byId("sampled").textContent = `Counts cover all ${meta.total.toLocaleString("en")} points of the scene.`;
  byId("theme").addEventListener("click", toggleTheme);
  applyTheme();
  if (!document.createElement("canvas").getContext("webgl2")) {
    const advice = "Turn on hardware acceleration in its settings, or open the page in another browser.";
    return fail(`This browser offers no WebGL 2, so it cannot draw the points. ${advice}`);
  }
  if (typeof DecompressionStream === "undefined") return fail("This browser is too old: the page needs one from 2023.");
  const view = new View(await unpack());
  connect(view);
  describe(view, -1);
  connectLink(view, buildLegend(view), buildClip(view));
  byId("message").textContent = "";
  document.body.dataset.ready = "true";
  return view;
}

function fail(text) {
  document.body.dataset.failed = "true";
  byId("message").textContent = text;
}

start().catch(error => {
  fail(`The points cannot be drawn: ${error.message}`);
  throw error;
});
