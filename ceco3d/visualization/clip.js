// The clip box: six sides, each a slider and a number in meters.

const AXES = ["x", "y", "z"];
const wholeBox = () => AXES.map(() => [0, UNITS]);
// At first, rooms are open at the top.
const openBox = () => AXES.map((_, axis) => [0, axis === 2 ? Math.round(meta.cut * UNITS) : UNITS]);

function inBox(position, index, box) {
  return box.every(([low, high], axis) => {
    const value = position[3 * index + axis];
    return value >= low && value <= high;
  });
}

function buildClip(view) {
  const controls = AXES.flatMap((axis, i) => {
    const line = element("div", "", element("span", axis));
    const track = element("div", "");
    [line.className, track.className] = ["side", "track"];
    const ends = [0, 1].map(end => {
      const name = `${axis}, ${end ? "upper" : "lower"} side`;
      const attributes = { type: "range", min: 0, max: UNITS, step: 1, ariaLabel: `${name} of the clip box` };
      const slider = Object.assign(element("input", ""), attributes);
      const number = Object.assign(element("input", ""), { type: "number", step: "any", ariaLabel: `${name} in meters` });
      slider.addEventListener("input", () => move(i, end, Number(slider.value)));
      slider.addEventListener("keydown", event => { // one unit is too little
        const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        move(i, end, view.clip[i][end] + step * UNITS / 100);
      });
      number.addEventListener("change", () => {
        if (number.value !== "" && Number.isFinite(number.valueAsNumber)) move(i, end, toUnits(number.valueAsNumber, i));
        else show();
      });
      return { slider, number };
    });
    track.append(...ends.map(({ slider }) => slider));
    line.append(ends[0].number, track, ends[1].number);
    byId("sides").append(line);
    return [{ axis: i, track, ends }];
  });
  const move = (axis, end, value) => {
    const box = view.clip.map(side => [...side]);
    const [low, high] = end ? [box[axis][0], UNITS] : [0, box[axis][1]];
    box[axis][end] = Math.round(clamp(value, low, high));
    view.setClip(box);
    show();
  };
  const show = () => {
    for (const { axis, track, ends } of controls) {
      ends.forEach(({ slider, number }, end) => {
        slider.value = view.clip[axis][end];
        const text = toMeters(view.clip[axis][end], axis).toFixed(Math.min(SHOWN, 2));
        number.value = text;
        slider.setAttribute("aria-valuetext", `${text} m`);
      });
      ends[0].slider.style.zIndex = view.clip[axis][0] > UNITS / 2 ? 2 : 1; // both at one end: the free one is on top
      ["--from", "--to"].forEach((name, end) => track.style.setProperty(name, view.clip[axis][end] / UNITS));
    }
    let inside = 0;
    for (let i = 0; i < meta.points; i++) inside += inBox(view.data.position, i, view.clip);
    const clipped = view.clip.some(([low, high]) => low > 0 || high < UNITS);
    byId("inside").textContent = clipped
      ? `${inside.toLocaleString("en")} of ${meta.points.toLocaleString("en")} points inside`
      : "The box holds all points.";
    byId("tab-clip").classList.toggle("active", clipped);
  };
  byId("whole").addEventListener("click", () => { view.setClip(wholeBox()); show(); });
  byId("open").addEventListener("click", () => { view.setClip(openBox()); show(); });
  byId("open").hidden = meta.cut >= 1;
  show();
  return show;
}
