"use strict";
// The same points in up to four panels under one camera. Layout of the data: ceco3d/viewer/page.py.

const meta = JSON.parse(document.getElementById("meta").textContent);
const byId = id => document.getElementById(id);
const NONE = 255;
const NEAR_CLICK = 9; // pixels across that a click looks at
const NOTHING = 0xffffff; // what the picking image holds where there is no point

const VERTEX = `
precision highp float;
in vec3 position; in vec4 color; in vec4 normal; in vec4 labels;
uniform mat4 modelViewMatrix, projectionMatrix;
uniform vec3 extent, eye;
uniform float radius, focal, cut;
uniform int slot, mode, highlight;
uniform bool cull, picking;
uniform sampler2D palette;
flat out vec3 tone;
flat out float pixels;
void main() {
  vec3 place = position * extent;
  vec4 view = modelViewMatrix * vec4(place, 1.0);
  gl_Position = projectionMatrix * view;
  pixels = clamp(focal * radius / -view.z, 1.5, 40.0);
  gl_PointSize = pixels;
  vec3 sight = normalize(eye - place);
  float towards = normal == vec4(0) ? 1.0 : dot(normalize(normal.xyz), sight);
  int label = slot < 0 ? 0 : int(labels[slot] + 0.5);
  vec4 entry = texelFetch(palette, ivec2(label, 0), 0);
  bool hidden = position.z > cut || (cull && towards < 0.0) || (slot >= 0 && entry.a == 0.0);
  if (hidden) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  tone = slot < 0 ? color.rgb : entry.rgb;
  if (mode == 1 && slot > 0) {
    int right = int(labels[0] + 0.5);
    tone = right == ${NONE} ? vec3(0.36, 0.41, 0.50) : right == label ? vec3(0.84, 0.86, 0.88) : vec3(0.84, 0.24, 0.16);
  }
  if (highlight >= 0 && slot >= 0 && label != highlight) tone = mix(tone, vec3(0.5), 0.85);
  if (slot >= 0) tone *= 0.8 + 0.2 * abs(towards);
  if (picking) tone = vec3(gl_VertexID & 255, (gl_VertexID >> 8) & 255, gl_VertexID >> 16) / 255.0;
}`;

const FRAGMENT = `
precision highp float;
flat in vec3 tone;
flat in float pixels;
out vec4 fragment;
void main() {
  vec2 off = 2.0 * gl_PointCoord - 1.0;
  if (pixels > 3.0 && dot(off, off) > 1.0) discard;
  fragment = vec4(tone, 1.0);
}`;

async function unpack() {
  const text = atob(byId("points").textContent);
  const packed = Uint8Array.from(text, letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  let offset = 0;
  const take = (Kind, columns) => {
    const array = new Kind(buffer, offset, meta.points * columns);
    offset += array.byteLength;
    return array;
  };
  return {
    position: take(Uint16Array, 3),
    color: take(Uint8Array, 3),
    normal: meta.normals ? take(Int8Array, 3) : null,
    labels: meta.panels.map(() => take(Uint8Array, 1)),
    confidence: meta.panels.map(panel => panel.confidence ? take(Uint8Array, 1) : null),
  };
}

// Point number i of the drawing order, in which any first part is spread evenly over the scene.
const STRIDE = (() => {
  const divisor = (a, b) => b ? divisor(b, a % b) : a;
  let stride = Math.max(1, Math.round(meta.points * 0.618034));
  while (divisor(meta.points, stride) !== 1) stride++;
  return stride;
})();
const inOrder = i => (i * STRIDE) % meta.points;

// Rows of four values, as GPUs want them, in drawing order: the columns of `parts`, each (M * width), then zeros.
function rows(Kind, parts) {
  const packed = new Kind(4 * meta.points);
  let column = 0;
  for (const part of parts) {
    const width = part.length / meta.points;
    for (let i = 0; i < meta.points; i++) {
      for (let j = 0; j < width; j++) packed[4 * i + column + j] = part[inOrder(i) * width + j];
    }
    column += width;
  }
  return packed;
}

class View {
  constructor(data) {
    this.data = data;
    this.canvas = document.querySelector("canvas");
    this.stage = byId("stage");
    this.renderer = new THREE.WebGLRenderer({ canvas: this.canvas, antialias: false });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setScissorTest(true);
    this.camera = new THREE.PerspectiveCamera(30, 1, 0.05, 1000);
    this.camera.up.set(0, 0, 1);
    this.controls = new THREE.OrbitControls(this.camera, this.canvas);
    this.controls.addEventListener("change", () => this.move());
    this.budget = meta.points; // points a panel that are drawn while the camera moves
    this.palette = new THREE.DataTexture(new Uint8Array(4 * 256), 256, 1);
    for (const item of meta.classes) this.palette.image.data.set([...item.color, 255], 4 * item.index);
    this.palette.needsUpdate = true;
    this.scene = new THREE.Scene();
    this.scene.add(this.points());
    this.panels = [{ title: "Original", slot: -1 }, ...meta.panels.map((panel, slot) => ({ title: panel.title, slot }))];
    for (const panel of this.panels) this.addPanel(panel);
    new ResizeObserver(() => this.layOut()).observe(this.stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.request());
    this.layOut();
    this.look("corner");
  }

  points() {
    const { position, color, normal, labels } = this.data;
    const geometry = new THREE.BufferGeometry();
    const add = (name, array, normalized) =>
      geometry.setAttribute(name, new THREE.BufferAttribute(array, 4, normalized));
    add("position", rows(Uint16Array, [position]), true);
    add("color", rows(Uint8Array, [color]), true);
    add("normal", rows(Int8Array, normal ? [normal] : []), true);
    add("labels", rows(Uint8Array, labels), false);
    const value = initial => ({ value: initial });
    this.uniforms = {
      extent: value(new THREE.Vector3(...meta.extent)), eye: value(this.camera.position), radius: value(2 * meta.radius),
      focal: value(1), cut: value(meta.cut), slot: value(-1), mode: value(0), highlight: value(-1),
      cull: value(meta.normals), picking: value(false), palette: value(this.palette),
    };
    const material = new THREE.RawShaderMaterial({
      glslVersion: THREE.GLSL3, uniforms: this.uniforms, vertexShader: VERTEX, fragmentShader: FRAGMENT,
    });
    this.geometry = geometry;
    const points = new THREE.Points(geometry, material);
    points.frustumCulled = false;
    return points;
  }

  addPanel(panel) {
    panel.box = document.createElement("div");
    panel.box.className = "panel";
    const title = document.createElement("h3");
    title.textContent = panel.title;
    panel.ring = document.createElement("i");
    panel.ring.hidden = true;
    panel.box.append(title, panel.ring);
    this.stage.append(panel.box);
  }

  layOut() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const count = this.panels.length;
    const shorter = columns => Math.min(width / columns, height / Math.ceil(count / columns));
    const columns = [1, 2, 3, 4].slice(0, count).reduce((best, n) => shorter(n) > shorter(best) ? n : best);
    const lines = Math.ceil(count / columns);
    this.panels.forEach((panel, i) => {
      const left = Math.round((i % columns) * width / columns), top = Math.round(Math.floor(i / columns) * height / lines);
      Object.assign(panel, { left, top, width: Math.round(width / columns), height: Math.round(height / lines) });
      Object.assign(panel.box.style, {
        left: `${left}px`, top: `${top}px`, width: `${panel.width}px`, height: `${panel.height}px`,
      });
    });
    this.height = height;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = this.panels[0].width / this.panels[0].height;
    this.camera.updateProjectionMatrix();
    this.request();
  }

  // Looks from above or from a corner, from as near as shows all that is seen from there.
  look(from) {
    const { x, y } = this.uniforms.extent.value;
    const tilt = x >= y ? new THREE.Vector3(0, -1e-3, 1) : new THREE.Vector3(1e-3, 0, 1);
    const away = (from === "above" ? tilt : new THREE.Vector3(-1, -1, 1)).normalize();
    const right = new THREE.Vector3().crossVectors(this.camera.up, away).normalize();
    const up = new THREE.Vector3().crossVectors(away, right);
    const axes = [right, up, away];
    const seen = this.sample(away).map(place => axes.map(axis => axis.dot(place)));
    const middle = axes.map((_, i) => seen.reduce(([low, high], p) => [Math.min(low, p[i]), Math.max(high, p[i])], [Infinity, -Infinity]))
      .map(([low, high]) => (low + high) / 2);
    const slope = Math.tan(this.camera.fov * Math.PI / 360);
    const distances = seen.map(([x, y, z]) => z - middle[2] +
      Math.max(Math.abs(x - middle[0]) / this.camera.aspect, Math.abs(y - middle[1])) / slope);
    const distance = 1.08 * distances.reduce((a, b) => Math.max(a, b), 0.1);
    this.controls.target.set(0, 0, 0);
    axes.forEach((axis, i) => this.controls.target.addScaledVector(axis, middle[i]));
    this.camera.position.copy(this.controls.target).addScaledVector(away, distance);
    this.camera.near = distance / 200;
    this.camera.far = 20 * distance;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.request();
  }

  // Places of some thousand points that are neither cut off nor show their back to a camera far `away`.
  sample(away) {
    const { normal } = this.data;
    const places = [];
    for (let i = 0; i < meta.points; i += Math.ceil(meta.points / 5000)) {
      const place = this.place(i);
      const back = normal && this.uniforms.cull.value &&
        normal[3 * i] * away.x + normal[3 * i + 1] * away.y + normal[3 * i + 2] * away.z < 0;
      if (!back && place.z <= this.uniforms.cut.value * meta.extent[2]) places.push(place);
    }
    return places.length ? places : [this.place(0)];
  }

  turn(right, up) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    offset.applyAxisAngle(new THREE.Vector3(0, 0, 1), right);
    const side = new THREE.Vector3().crossVectors(this.camera.up, offset).normalize();
    const angle = offset.angleTo(this.camera.up);
    offset.applyAxisAngle(side, Math.min(Math.max(angle - up, 0.01), Math.PI - 0.01) - angle);
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
  }

  approach(factor) {
    this.camera.position.sub(this.controls.target).multiplyScalar(factor).add(this.controls.target);
    this.controls.update();
  }

  request() {
    if (!this.pending) this.pending = requestAnimationFrame(() => { this.pending = null; this.draw(); });
  }

  // While the camera moves, as many points are drawn as make about 25 frames a second; all of them once it rests.
  move() {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => { this.moving = false; this.request(); }, 300);
    this.request();
  }

  drawSome() {
    const now = performance.now(), elapsed = now - this.drawn;
    if (this.moving && this.wasMoving && elapsed < 5000) {
      this.budget = Math.round(this.budget * Math.min(Math.max(40 / elapsed, 0.2), elapsed < 25 ? 1.3 : 1));
      this.budget = Math.min(Math.max(this.budget, 10000), meta.points);
    }
    [this.drawn, this.wasMoving] = [now, this.moving];
    const count = this.moving ? this.budget : meta.points;
    this.geometry.setDrawRange(0, count);
    return count;
  }

  draw() {
    const count = this.drawSome();
    const background = new THREE.Color(getComputedStyle(this.stage).backgroundColor);
    this.renderer.setClearColor(background);
    const spread = Math.min(Math.sqrt(meta.points / count), 3); // fewer points are drawn larger
    this.uniforms.focal.value = this.focal(this.panels[0]) * this.renderer.getPixelRatio() * spread;
    for (const panel of this.panels) {
      const bottom = this.height - panel.top - panel.height;
      this.renderer.setViewport(panel.left, bottom, panel.width, panel.height);
      this.renderer.setScissor(panel.left, bottom, panel.width, panel.height);
      this.uniforms.slot.value = panel.slot;
      this.renderer.render(this.scene, this.camera);
      this.placeRing(panel);
    }
  }

  focal(panel) {
    return panel.height / 2 / Math.tan(this.camera.fov * Math.PI / 360);
  }

  // The index of the point that is drawn nearest to (x, y) of the stage, or -1: draws numbers instead of colours.
  pick(x, y) {
    const panel = this.panels.find(p => x >= p.left && x < p.left + p.width && y >= p.top && y < p.top + p.height);
    if (!panel) return -1;
    const size = NEAR_CLICK, half = (size - 1) / 2;
    const target = new THREE.WebGLRenderTarget(size, size);
    const pixels = new Uint8Array(4 * size * size);
    this.camera.setViewOffset(panel.width, panel.height, x - panel.left - half, y - panel.top - half, size, size);
    this.renderer.setRenderTarget(target);
    this.renderer.setClearColor(NOTHING, 1);
    this.geometry.setDrawRange(0, meta.points);
    this.uniforms.focal.value = this.focal(panel);
    this.uniforms.slot.value = panel.slot;
    this.uniforms.picking.value = true;
    this.renderer.render(this.scene, this.camera);
    this.renderer.readRenderTargetPixels(target, 0, 0, size, size, pixels);
    this.uniforms.picking.value = false;
    this.renderer.setRenderTarget(null);
    this.camera.clearViewOffset();
    target.dispose();
    let best = -1, nearest = Infinity;
    for (let i = 0; i < size * size; i++) {
      const number = pixels[4 * i] | pixels[4 * i + 1] << 8 | pixels[4 * i + 2] << 16;
      const distance = Math.hypot(i % size - half, Math.floor(i / size) - half);
      if (number !== NOTHING && distance < nearest) [best, nearest] = [inOrder(number), distance];
    }
    return best;
  }

  place(index) {
    const { position } = this.data;
    return new THREE.Vector3(...[0, 1, 2].map(axis => position[3 * index + axis] / 65535 * meta.extent[axis]));
  }

  placeRing(panel) {
    panel.ring.hidden = !(this.selected >= 0);
    if (panel.ring.hidden) return;
    const spot = this.place(this.selected).project(this.camera);
    panel.ring.style.left = `${(spot.x + 1) / 2 * panel.width}px`;
    panel.ring.style.top = `${(1 - spot.y) / 2 * panel.height}px`;
  }

  set(name, value) {
    this.uniforms[name].value = value;
    this.request();
  }

  setVisible(index, visible) {
    this.palette.image.data[4 * index + 3] = visible ? 255 : 0;
    this.palette.needsUpdate = true;
    this.request();
  }
}

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

// The labels of a point in every panel.
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
  const original = element("tr", "", element("td", "Original"), element("td", ` at ${place.join(", ")} m`), element("td", ""));
  original.children[1].prepend(swatch(color));
  const truth = meta.truth ? view.data.labels[0][index] : NONE;
  const lines = meta.panels.map((panel, slot) => {
    const label = view.data.labels[slot][index];
    const item = meta.classes.find(other => other.index === label);
    const name = element("td", ` ${item.name}`);
    name.prepend(swatch(item.color));
    if (truth !== NONE && label !== truth) name.append(Object.assign(element("span", " (wrong)"), { className: "mistake" }));
    const share = view.data.confidence[slot];
    const confidence = share ? `${Math.round(share[index] / 2.55)} %` : "";
    return element("tr", "", element("td", panel.title), name, element("td", confidence));
  });
  table.replaceChildren(head, original, ...lines);
}

function buildLegend(view) {
  const [head, body] = [document.querySelector("#legend thead"), document.querySelector("#legend tbody")];
  const titles = meta.panels.map(panel => Object.assign(element("th", panel.title), { title: `points, ${panel.title}` }));
  head.append(element("tr", "", element("th", "class, points in each panel"), ...titles));
  const lines = meta.classes.map(item => {
    const box = Object.assign(element("input", ""), { type: "checkbox", checked: true });
    const label = element("label", "", box, swatch(item.color), element("span", item.name), element("small", item.group));
    const line = element("tr", "", element("td", "", label));
    line.append(...item.counts.map(count => element("td", count ? count.toLocaleString("en") : "–")));
    const show = visible => {
      box.checked = visible;
      line.classList.toggle("off", !visible);
      view.setVisible(item.index, visible);
    };
    box.addEventListener("change", () => show(box.checked));
    line.addEventListener("mouseenter", () => view.set("highlight", box.checked ? item.index : -1));
    line.addEventListener("mouseleave", () => view.set("highlight", -1));
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
    byId("message").textContent = `The points cannot be drawn: ${error.message}. It needs WebGL 2 and a browser of 2023 or newer.`;
    throw error;
  }
}

start();
