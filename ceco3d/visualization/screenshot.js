// Saves what the stage shows as a PNG, with the titles of the panels, the key of the colors, and a caption.

const CAPTION = 30; // pixels below the panels

function caption() {
  const text = [meta.name];
  if (meta.points < meta.total) text.push(amount(meta.points));
  return text.join(" · ");
}

// Draws the entries of the key from the right, as many as fit; returns where they begin.
function paintKey(context, view, right, middle) {
  let x = right;
  const write = text => { x -= context.measureText(text).width; context.fillText(text, x, middle); x -= 6; };
  const mode = MODES[view.uniforms.mode.value];
  if (mode === "errors") {
    for (const [text, color] of ERROR_KEY.toReversed()) {
      const tone = context.fillStyle;
      write(text);
      context.fillStyle = `rgb(${color.join()})`;
      context.fillRect(x -= 12, middle - 6, 12, 12);
      context.fillStyle = tone;
      x -= 12;
    }
  } else if (mode === "confidence") {
    const tone = context.fillStyle;
    write("100 %");
    const ramp = context.createLinearGradient(x - 100, 0, x, 0);
    RAMP.forEach((color, i) => ramp.addColorStop(i / (RAMP.length - 1), `rgb(${color.join()})`));
    context.fillStyle = ramp;
    context.fillRect(x -= 100, middle - 6, 100, 12);
    context.fillStyle = tone;
    x -= 6;
    write("confidence 0 %");
  }
  return x;
}

function takeScreenshot(view) {
  view.moving = false;
  view.draw(); // the canvas keeps its content until this task ends
  const ratio = view.renderer.getPixelRatio(), { clientWidth: width, clientHeight: height } = view.stage;
  const picture = Object.assign(element("canvas", ""), { width: width * ratio, height: (height + CAPTION) * ratio });
  const context = picture.getContext("2d");
  const style = getComputedStyle(view.stage), text = getComputedStyle(document.body).color;
  context.scale(ratio, ratio);
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, width, height + CAPTION);
  context.drawImage(view.canvas, 0, 0, width, height);
  context.textBaseline = "middle";
  for (const panel of view.shown) {
    context.save();
    context.translate(panel.left, panel.top);
    const area = new Path2D();
    area.rect(0, 0, panel.width, panel.height);
    context.clip(area);
    paintOverlay(context, view, panel);
    Object.assign(context, { font: "600 14px system-ui, sans-serif", fillStyle: text });
    context.fillText(panel.title, 10, 18);
    context.restore();
  }
  Object.assign(context, { font: "13px system-ui, sans-serif", fillStyle: text });
  const end = paintKey(context, view, width - 10, height + CAPTION / 2);
  context.fillText(caption(), 10, height + CAPTION / 2, Math.max(end - 20, 1));
  picture.toBlob(blob => {
    const link = Object.assign(element("a", ""), { href: URL.createObjectURL(blob), download: `${meta.name}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}
