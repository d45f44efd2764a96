// Draws the same points in up to four panels with one camera.

const NEAR_CLICK = 9; // pixels; side of the square around a click in which the nearest point is picked
const NOTHING = 0xffffff; // value of the picking image where there is no point

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
    this.budget = meta.points; // points drawn per panel while the camera moves
    this.palette = new THREE.DataTexture(new Uint8Array(4 * 256), 256, 1);
    for (const item of meta.classes) this.palette.image.data.set([...item.color, 255], 4 * item.index);
    this.palette.needsUpdate = true;
    this.scene = new THREE.Scene();
    this.scene.add(this.points());
    this.panels = ["Original", ...meta.panels.map(panel => panel.title)].map((title, i) => ({ title, slot: i - 1 }));
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
      extent: value(new THREE.Vector3(...meta.extent)), eye: value(this.camera.position),
      radius: value(2 * meta.radius), focal: value(1), cut: value(meta.cut),
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
    const size = { width: Math.floor(width / columns), height: Math.floor(height / lines) };
    this.panels.forEach((panel, i) => {
      Object.assign(panel, size, { left: (i % columns) * size.width, top: Math.floor(i / columns) * size.height });
      for (const side of ["left", "top", "width", "height"]) panel.box.style[side] = `${panel[side]}px`;
    });
    this.height = height;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = this.panels[0].width / this.panels[0].height;
    this.camera.updateProjectionMatrix();
    this.request();
  }

  // Looks from above or from a corner, as close as possible with everything in view.
  look(from) {
    const { x, y } = this.uniforms.extent.value;
    const tilt = x >= y ? new THREE.Vector3(0, -1e-3, 1) : new THREE.Vector3(1e-3, 0, 1);
    const away = (from === "above" ? tilt : new THREE.Vector3(-1, -1, 1)).normalize();
    const right = new THREE.Vector3().crossVectors(this.camera.up, away).normalize();
    const up = new THREE.Vector3().crossVectors(away, right);
    const axes = [right, up, away];
    const seen = this.sample(away).map(place => axes.map(axis => axis.dot(place)));
    const middle = axes.map((_, i) => {
      const along = seen.map(place => place[i]);
      return (Math.min(...along) + Math.max(...along)) / 2;
    });
    const slope = Math.tan(this.camera.fov * Math.PI / 360);
    const distances = seen.map(([x, y, z]) => z - middle[2] +
      Math.max(Math.abs(x - middle[0]) / this.camera.aspect, Math.abs(y - middle[1])) / slope);
    const distance = 1.08 * Math.max(0.1, ...distances);
    this.controls.target.set(0, 0, 0);
    axes.forEach((axis, i) => this.controls.target.addScaledVector(axis, middle[i]));
    this.camera.position.copy(this.controls.target).addScaledVector(away, distance);
    this.camera.near = distance / 200;
    this.camera.far = 20 * distance;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.request();
  }

  // Positions of a few thousand points that are neither cut off nor face away from a distant camera at `away`.
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

  // While the camera moves, draws few enough points for about 25 frames a second; once it rests, all of them.
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
    const spread = Math.min(Math.sqrt(meta.points / count), 3); // the fewer the points, the larger each one
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

  // Index of the point drawn nearest to (x, y) of the stage, or -1. Draws point numbers instead of colors.
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
