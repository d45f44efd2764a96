// What lies over the points: the ring around the selected point, the ruler, the edges of the clip box.

const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7];
const EDGES = CORNERS.flatMap(i => [1, 2, 4].filter(bit => !(i & bit)).map(bit => [i, i | bit]));

// Pixels of a panel for a place of the scene; null behind the camera.
function onScreen(view, panel, place) {
  const spot = place.clone().applyMatrix4(view.camera.matrixWorldInverse);
  if (spot.z > -view.camera.near) return null;
  spot.applyMatrix4(view.camera.projectionMatrix);
  return [(spot.x + 1) / 2 * panel.width, (1 - spot.y) / 2 * panel.height];
}

// Lines [x, y, x, y], rings [x, y] and the text of a panel, in its pixels.
function shapes(view, panel) {
  const at = place => onScreen(view, panel, place);
  const line = (from, to) => from && to ? [[...from, ...to]] : [];
  const ends = view.ruler.map(index => at(view.place(index)));
  const corners = view.boxShown ? CORNERS.map(i => at(new THREE.Vector3(
    ...view.clip.map((side, axis) => side[i >> axis & 1] / UNITS * meta.extent[axis])))) : [];
  const ring = view.selected >= 0 ? at(view.place(view.selected)) : null;
  const text = ends[0] && ends[1]
    ? { text: `${distance(view).toFixed(SHOWN)} m`, x: (ends[0][0] + ends[1][0]) / 2, y: (ends[0][1] + ends[1][1]) / 2 }
    : null;
  return {
    box: view.boxShown ? EDGES.flatMap(([from, to]) => line(corners[from], corners[to])) : [],
    ruler: ends.length === 2 ? line(...ends) : [],
    rings: [...(ring ? [ring] : []), ...ends.filter(Boolean)],
    text,
  };
}

function drawing(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function showOverlay(view, panel) {
  const { box, ruler, rings, text } = shapes(view, panel);
  const lines = (all, name) => all.map(([x1, y1, x2, y2]) => drawing("line", { x1, y1, x2, y2, class: name }));
  panel.overlay.replaceChildren(
    ...lines(box, "edge"), ...lines(ruler, "halo"), ...lines(ruler, "ruler"),
    ...rings.flatMap(([cx, cy]) => [["halo", 8], ["ring", 8], ["dot", 2]]
      .map(([name, r]) => drawing("circle", { cx, cy, r, class: name }))),
    ...(text ? [drawing("text", { x: text.x, y: text.y - 8 }, text.text)] : []));
}

// The same on the canvas of a screenshot, which is moved to the panel.
function paintOverlay(context, view, panel) {
  const { box, ruler, rings, text } = shapes(view, panel);
  const stroke = (path, color, width) => Object.assign(context, { strokeStyle: color, lineWidth: width }).stroke(path);
  const path = new Path2D();
  for (const [x1, y1, x2, y2] of box) { path.moveTo(x1, y1); path.lineTo(x2, y2); }
  stroke(path, "#2f7fd6", 1);
  const marks = new Path2D();
  for (const [x1, y1, x2, y2] of ruler) { marks.moveTo(x1, y1); marks.lineTo(x2, y2); }
  for (const [x, y] of rings) { marks.moveTo(x + 8, y); marks.arc(x, y, 8, 0, 7); }
  stroke(marks, "#ffffff", 5);
  stroke(marks, "#111111", 2);
  if (!text) return;
  Object.assign(context, { font: "600 14px system-ui, sans-serif", textAlign: "center", lineJoin: "round" });
  Object.assign(context, { strokeStyle: "#ffffff", lineWidth: 4, fillStyle: "#111111" });
  context.strokeText(text.text, text.x, text.y - 8);
  context.fillText(text.text, text.x, text.y - 8);
  context.textAlign = "left";
}
