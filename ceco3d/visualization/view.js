// Draws the same points in up to four panels with one camera.

const FIELD_OF_VIEW = 30; // degrees of the shorter side of a panel, so that narrow screens see no less
const LARGEST = 40; // pixels of the screen; largest size of a point

class View {
  constructor(data) {
    this.data = data;
    this.canvas = document.querySelector("canvas");
    this.stage = byId("stage");
    this.renderer = new THREE.WebGLRenderer({ canvas: this.canvas, antialias: false });
    this.renderer.setScissorTest(true);
    this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 1000);
    this.camera.up.set(0, 0, 1);
    this.controls = new THREE.OrbitControls(this.camera, this.canvas);
    this.controls.addEventListener("change", () => this.move());
    this.changed = () => {}; // called after everything that a link keeps
    this.budget = meta.points; // points drawn per panel while the camera moves
    this.hidden = new Set(); // labels
    this.selected = -1; // index of a point
    this.ruler = []; // up to two indices of points
    this.focus = null; // the only panel shown; null: all of them
    this.boxShown = false;
    this.clip = wholeBox();
    this.pointSize = 1;
    this.palette = new THREE.DataTexture(new Uint8Array(4 * 256 * 256), 256, 256);
    for (const item of meta.classes) this.palette.image.data.set([...item.color, 255], 4 * item.index);
    this.palette.needsUpdate = true;
    this.scene = new THREE.Scene();
    this.scene.add(this.points());
    this.panels = ["Original", ...meta.panels.map(panel => panel.title)].map((title, i) => ({ title, slot: i - 1 }));
    for (const panel of this.panels) this.addPanel(panel);
    new ResizeObserver(() => this.layOut()).observe(this.stage);
    addEventListener("themechange", () => this.request());
    this.watchResolution();
    this.setClip(openBox());
    this.layOut();
    this.look("corner");
  }

  points() {
    const { position, color, normal, labels, confidence } = this.data;
    const geometry = new THREE.BufferGeometry();
    const add = (name, array, normalized) =>
      geometry.setAttribute(name, new THREE.BufferAttribute(array, 4, normalized));
    const shares = confidence.map(share => share ?? new Uint8Array(meta.points));
    add("position", rows(Uint16Array, [position]), true);
    add("color", rows(Uint8Array, [color]), true);
    add("normal", rows(Int8Array, normal ? [normal] : []), true);
    add("labels", rows(NONE > 255 ? Uint16Array : Uint8Array, labels), false);
    add("confidence", rows(Uint8Array, shares), true);
    const value = initial => ({ value: initial });
    this.uniforms = {
      extent: value(new THREE.Vector3(...meta.extent)), eye: value(this.camera.position),
      low: value(new THREE.Vector3()), high: value(new THREE.Vector3()),
      known: value([0, 1, 2, 3].map(slot => confidence[slot] ? 1 : 0)),
      radius: value(2 * meta.radius), focal: value(1), largest: value(LARGEST),
      slot: value(-1), mode: value(0), highlight: value(-1),
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
    panel.box = element("div", "");
    panel.box.className = "panel";
    panel.name = element("button", panel.title);
    panel.name.title = "Show this panel alone, or all of them";
    panel.name.addEventListener("click", () => this.setFocus(this.focus === null ? panel.slot : null));
    panel.overlay = drawing("svg", { "aria-hidden": "true" });
    panel.box.append(panel.overlay, element("h3", "", panel.name));
    this.stage.append(panel.box);
  }

  get shown() {
    return this.focus === null ? this.panels : this.panels.filter(panel => panel.slot === this.focus);
  }

  // Screens differ in pixels per CSS pixel, and so does one page that moves between them or is zoomed.
  watchResolution() {
    const query = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    query.addEventListener("change", () => { this.watchResolution(); this.layOut(); }, { once: true });
  }

  layOut() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    const shown = this.shown, count = shown.length;
    const shorter = columns => Math.min(width / columns, height / Math.ceil(count / columns));
    const columns = [1, 2, 3, 4].slice(0, count).reduce((best, n) => shorter(n) > shorter(best) ? n : best);
    const lines = Math.ceil(count / columns);
    const size = { width: Math.floor(width / columns), height: Math.floor(height / lines) };
    for (const panel of this.panels) {
      panel.box.hidden = !shown.includes(panel);
      panel.name.setAttribute("aria-pressed", this.focus === panel.slot);
    }
    shown.forEach((panel, i) => {
      Object.assign(panel, size, { left: (i % columns) * size.width, top: Math.floor(i / columns) * size.height });
      for (const side of ["left", "top", "width", "height"]) panel.box.style[side] = `${panel[side]}px`;
    });
    this.height = height;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2)); // more costs time and shows nothing
    this.renderer.setSize(width, height, false);
    const half = Math.tan(FIELD_OF_VIEW * Math.PI / 360);
    this.camera.aspect = size.width / size.height;
    this.camera.fov = Math.atan(half / Math.min(this.camera.aspect, 1)) * 360 / Math.PI;
    this.controls.panSpeed = height / size.height; // a point stays under the finger
    this.camera.updateProjectionMatrix();
    this.request();
  }

  request() {
    this.stage.dataset.state = "drawing";
    if (!this.pending) this.pending = requestAnimationFrame(() => { this.pending = null; this.draw(); });
  }

  // While the camera moves, draws few enough points for about 25 frames a second; once it rests, all of them.
  move() {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => { this.moving = false; this.request(); }, 300);
    this.request();
    this.changed();
  }

  drawSome() {
    const now = performance.now(), elapsed = now - this.drawn;
    if (this.moving && this.wasMoving && elapsed < 5000) {
      this.budget = Math.round(this.budget * clamp(40 / elapsed, 0.2, elapsed < 25 ? 1.3 : 1));
      this.budget = Math.min(Math.max(this.budget, 10000), meta.points);
    }
    [this.drawn, this.wasMoving] = [now, this.moving];
    const count = this.moving ? this.budget : meta.points;
    byId("size").textContent = amount(count);
    this.geometry.setDrawRange(0, count);
    return count;
  }

  draw() {
    const count = this.drawSome();
    const background = new THREE.Color(getComputedStyle(this.stage).backgroundColor);
    this.renderer.setClearColor(background);
    this.fitDepth();
    const spread = Math.min(Math.sqrt(meta.points / count), 3); // the fewer the points, the larger each one
    const ratio = this.renderer.getPixelRatio();
    this.uniforms.largest.value = LARGEST * ratio;
    this.uniforms.focal.value = this.focal(this.shown[0]) * ratio * spread;
    for (const panel of this.shown) {
      const bottom = this.height - panel.top - panel.height;
      this.renderer.setViewport(panel.left, bottom, panel.width, panel.height);
      this.renderer.setScissor(panel.left, bottom, panel.width, panel.height);
      this.uniforms.slot.value = panel.slot;
      this.renderer.render(this.scene, this.camera);
      showOverlay(this, panel);
    }
    if (!this.moving) this.stage.dataset.state = "resting"; // all points are drawn
  }

  // Puts the near and far planes around the bounding box, however close or far the camera is.
  fitDepth() {
    const { extent } = this.uniforms;
    const middle = extent.value.clone().multiplyScalar(0.5), reach = 1.02 * middle.length() + meta.radius;
    const distance = this.camera.position.distanceTo(middle);
    this.camera.far = distance + reach;
    this.camera.near = Math.max(distance - reach, this.camera.far / 5000);
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }

  focal(panel) {
    return panel.height / 2 / Math.tan(this.camera.fov * Math.PI / 360);
  }

  place(index) {
    const { position } = this.data;
    return new THREE.Vector3(...[0, 1, 2].map(axis => position[3 * index + axis] / UNITS * meta.extent[axis]));
  }

  set(name, value) {
    this.uniforms[name].value = value;
    this.request();
    this.changed();
  }

  setPointSize(size) {
    this.pointSize = size;
    this.set("radius", 2 * meta.radius * size);
  }

  // `box`: three pairs of whole units, the sides of the box; points on a side are inside.
  setClip(box) {
    this.clip = box;
    this.uniforms.low.value.set(...box.map(([low]) => (low - 0.5) / UNITS));
    this.uniforms.high.value.set(...box.map(([, high]) => (high + 0.5) / UNITS));
    this.request();
    this.changed();
  }

  setFocus(slot) {
    this.focus = slot;
    this.layOut();
    this.changed();
  }

  setVisible(index, visible) {
    if (visible) this.hidden.delete(index);
    else this.hidden.add(index);
    this.palette.image.data[4 * index + 3] = visible ? 255 : 0;
    this.palette.needsUpdate = true;
    this.request();
    this.changed();
  }
}
