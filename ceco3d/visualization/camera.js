// Moves the camera: to one of two standard views, and by keys.

Object.assign(View.prototype, {
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
    this.controls.update();
    this.request();
  },

  // Positions of a few thousand points inside the clip box that do not face away from a distant camera at `away`.
  sample(away) {
    const { normal, position } = this.data;
    const places = [];
    for (let i = 0; i < meta.points; i += Math.ceil(meta.points / 5000)) {
      const back = normal && this.uniforms.cull.value &&
        normal[3 * i] * away.x + normal[3 * i + 1] * away.y + normal[3 * i + 2] * away.z < 0;
      if (!back && inBox(position, i, this.clip)) places.push(this.place(i));
    }
    return places.length ? places : [this.place(0)];
  },

  turn(right, up) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    offset.applyAxisAngle(new THREE.Vector3(0, 0, 1), right);
    const side = new THREE.Vector3().crossVectors(this.camera.up, offset).normalize();
    const angle = offset.angleTo(this.camera.up);
    offset.applyAxisAngle(side, clamp(angle - up, 0.01, Math.PI - 0.01) - angle);
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
  },

  // Moves along the screen, in shares of what is seen.
  pan(right, up) {
    const distance = this.camera.position.distanceTo(this.controls.target);
    const step = new THREE.Vector3(right, up, 0).applyQuaternion(this.camera.quaternion)
      .multiplyScalar(2 * distance * Math.tan(FIELD_OF_VIEW * Math.PI / 360));
    this.camera.position.add(step);
    this.controls.target.add(step);
    this.controls.update();
  },

  approach(factor) {
    this.camera.position.sub(this.controls.target).multiplyScalar(factor).add(this.controls.target);
    this.controls.update();
  },

  turnAround(index) {
    const step = this.place(index).sub(this.controls.target);
    this.camera.position.add(step);
    this.controls.target.add(step);
    this.controls.update();
  },
});
