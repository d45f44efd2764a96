// Keeps the view in the hash of the address, in meters of the scene, so that reloading or sharing it restores it.

const exact = (place, decimals = DECIMALS + 1) =>
  place.map((value, axis) => (value + meta.low[axis]).toFixed(decimals)).join();
const isStandardBox = box => box.flat().every((value, i) => value === openBox().flat()[i]);

function writeLink(view) {
  const point = index => inScene(view, index, DECIMALS + 1).join();
  const parts = [
    ["eye", exact(view.camera.position.toArray())],
    ["target", exact(view.controls.target.toArray())],
    ["colors", view.uniforms.mode.value ? MODES[view.uniforms.mode.value] : ""],
    ["size", view.pointSize === 1 ? "" : view.pointSize],
    ["walls", meta.normals && !view.uniforms.cull.value ? "solid" : ""],
    ["panel", view.focus === null ? "" : view.focus + 1],
    ["box", isStandardBox(view.clip) ? "" : view.clip.flatMap((side, axis) =>
      side.map(unit => toMeters(unit, axis).toFixed(DECIMALS + 1))).join()],
    ["hide", [...view.hidden].sort((a, b) => a - b).join()],
    ["point", view.selected < 0 ? "" : point(view.selected)],
    ["ruler", view.measuring ? view.ruler.map(point).join() || "on" : ""],
  ];
  return `#${parts.filter(([, value]) => value !== "").map(([name, value]) => `${name}=${value}`).join("&")}`;
}

// The point at a place in meters, or -1: a page written anew may hold other points.
function pointAt(view, place) {
  const wanted = place.map((value, axis) => Math.round(toUnits(value, axis)));
  const { position } = view.data;
  for (let i = 0; i < meta.points; i++) {
    if (wanted.every((value, axis) => Math.abs(position[3 * i + axis] - value) <= 1)) return i;
  }
  return -1;
}

// Applies a hash; returns what in it does not fit this page.
function readLink(view, hash) {
  const given = new URLSearchParams(hash.slice(1)), bad = [];
  const numbers = (name, ...counts) => {
    if (!given.has(name)) return null;
    const values = given.get(name).split(",").map(text => text.trim() === "" ? NaN : Number(text));
    if (values.every(Number.isFinite) && counts.includes(values.length)) return values;
    bad.push(name);
    return null;
  };
  const choose = (name, allowed, apply) => {
    if (!given.has(name)) return apply(allowed[0]);
    if (allowed.includes(given.get(name))) return apply(given.get(name));
    bad.push(name);
    return null;
  };
  const points = (name, ...counts) => {
    const values = numbers(name, ...counts.map(count => 3 * count)) ?? [];
    const found = Array.from({ length: values.length / 3 }, (_, i) => pointAt(view, values.slice(3 * i, 3 * i + 3)));
    if (!found.includes(-1)) return found;
    bad.push(name);
    return [];
  };
  const local = values => values.map((value, axis) => value - meta.low[axis]);
  choose("colors", modes().map(([name]) => name), name => view.set("mode", MODES.indexOf(name)));
  choose("panel", ["", ...view.panels.map(panel => `${panel.slot + 1}`)],
    name => view.setFocus(name === "" ? null : Number(name) - 1));
  choose("walls", ["", "solid"], name => view.set("cull", meta.normals && name === ""));
  view.setPointSize(clamp(numbers("size", 1)?.[0] ?? 1, 0.3, 3));
  const box = numbers("box", 6);
  const units = box?.map((value, i) => Math.round(clamp(toUnits(value, i >> 1), 0, UNITS)));
  if (units && AXES.every((_, i) => units[2 * i] <= units[2 * i + 1])) {
    view.setClip(AXES.map((_, i) => [units[2 * i], units[2 * i + 1]]));
  } else {
    if (units) bad.push("box");
    view.setClip(openBox());
  }
  const hide = new Set(given.get("hide") ? numbers("hide", given.get("hide").split(",").length) ?? [] : []);
  for (const { index } of meta.classes) view.setVisible(index, !hide.has(index));
  const [eye, target] = [numbers("eye", 3), numbers("target", 3)];
  if (eye && target && Math.hypot(...eye.map((value, i) => value - target[i])) > 0) {
    view.controls.target.set(...local(target));
    view.camera.position.set(...local(eye));
    view.controls.update();
  } else {
    view.look("corner");
  }
  describe(view, points("point", 1)[0] ?? -1);
  view.measuring = given.has("ruler");
  view.ruler = given.get("ruler") === "on" || !view.measuring ? [] : points("ruler", 1, 2);
  showMeasure(view);
  return bad;
}

async function copyLink(view) {
  history.replaceState(null, "", writeLink(view));
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    const field = Object.assign(element("textarea", ""), { value: location.href });
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    if (!copied) return notify("Copy the link from the address bar: it keeps this view.");
  }
  return notify("Link copied. It opens this page in this view.");
}
