// Finds the point under a finger or the mouse, reads its labels, and measures between two points.

const NEAR = { mouse: 9, touch: 25 }; // pixels; side of the square around a click in which the nearest point is picked
const NOTHING = 0xffffff; // value of the picking image where there is no point

// Index of the point drawn nearest to (x, y) of the stage, or -1. Draws point numbers instead of colors.
function pick(view, x, y, size) {
  const panel = view.shown.find(p => x >= p.left && x < p.left + p.width && y >= p.top && y < p.top + p.height);
  if (!panel) return -1;
  const half = (size - 1) / 2, { renderer, camera, uniforms } = view;
  const target = new THREE.WebGLRenderTarget(size, size);
  const pixels = new Uint8Array(4 * size * size);
  view.fitDepth();
  camera.setViewOffset(panel.width, panel.height, x - panel.left - half, y - panel.top - half, size, size);
  renderer.setRenderTarget(target);
  renderer.setClearColor(NOTHING, 1);
  view.geometry.setDrawRange(0, meta.points);
  uniforms.focal.value = view.focal(panel);
  uniforms.largest.value = LARGEST;
  uniforms.slot.value = panel.slot;
  uniforms.picking.value = true;
  renderer.render(view.scene, camera);
  renderer.readRenderTargetPixels(target, 0, 0, size, size, pixels);
  uniforms.picking.value = false;
  renderer.setRenderTarget(null);
  camera.clearViewOffset();
  target.dispose();
  view.request();
  let best = -1, nearest = Infinity;
  for (let i = 0; i < size * size; i++) {
    const number = pixels[4 * i] | pixels[4 * i + 1] << 8 | pixels[4 * i + 2] << 16;
    const distance = Math.hypot(i % size - half, Math.floor(i / size) - half);
    if (number !== NOTHING && distance < nearest) [best, nearest] = [inOrder(number), distance];
  }
  return best;
}

// A point in meters, in the frame of the scene.
function inScene(view, index, decimals) {
  return [0, 1, 2].map(axis => toMeters(view.data.position[3 * index + axis], axis).toFixed(decimals));
}

// Shows the labels of a point in every panel; -1 clears them.
function describe(view, index) {
  view.selected = index;
  view.request();
  view.changed();
  const card = byId("picked"), table = card.querySelector("table");
  table.hidden = card.querySelector(".close").hidden = byId("center").hidden = index < 0;
  card.querySelector(".hint").hidden = index >= 0;
  card.classList.toggle("empty", index < 0);
  if (index < 0) return;
  const color = Array.from(view.data.color.subarray(3 * index, 3 * index + 3));
  const heads = ["panel", "label", ...(meta.panels.some(panel => panel.confidence) ? ["confidence"] : [])];
  const row = (...cells) => element("tr", "", ...cells.slice(0, heads.length));
  const where = element("td", ` at ${inScene(view, index, Math.min(SHOWN, 2)).join(", ")} m`);
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
    const confidence = share && label !== NONE ? `${Math.round(share[index] / 2.55)} %` : "";
    return row(element("td", panel.title), name, element("td", confidence));
  });
  const head = element("tr", "", ...heads.map(text => element("th", text)));
  table.replaceChildren(head, row(element("td", "Original"), where, element("td", "")), ...lines);
}

// The distance between the two points of the ruler, in meters; null while there are fewer.
function distance(view) {
  if (view.ruler.length < 2) return null;
  const [from, to] = view.ruler.map(index => view.place(index));
  return from.distanceTo(to);
}

// The next click sets a point of the ruler: the first, the second, then the first of the next measurement.
function measure(view, index) {
  view.ruler = index < 0 ? [] : view.ruler.length === 1 ? [...view.ruler, index] : [index];
  showMeasure(view);
}

function setMeasuring(view, on) {
  view.measuring = on;
  if (!on) view.ruler = [];
  showMeasure(view);
}

function showMeasure(view) {
  byId("measure").setAttribute("aria-pressed", Boolean(view.measuring));
  byId("measured").hidden = !view.measuring;
  const line = document.querySelector("#measured p"), length = distance(view);
  line.replaceChildren();
  if (length === null) {
    line.textContent = view.ruler.length ? "Choose the second point." : "Choose the first point.";
  } else {
    const [from, to] = view.ruler.map(index => inScene(view, index, DECIMALS).map(Number));
    const parts = ["x", "y", "z"].map((axis, i) => `Δ${axis} ${(to[i] - from[i]).toFixed(SHOWN)}`);
    line.append(element("strong", `${length.toFixed(SHOWN)} m`), element("small", parts.join("  ")));
  }
  view.request();
  view.changed();
}
