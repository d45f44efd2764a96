// Places, colors and hides points. `slot` is the panel: -1 = the original, 0 ... = which of the labels.

const MODES = ["classes", "errors", "confidence", "scan"]; // by the value of `mode`
const RIGHT = [214, 219, 224], WRONG = [213, 60, 40], UNKNOWN = [92, 104, 128];
const RAMP = [[190, 22, 40], [236, 112, 48], [245, 190, 70], [120, 180, 190], [40, 96, 170]]; // confidence 0 ... 1
const vec3 = color => `vec3(${color.map(value => (value / 255).toFixed(4)).join()})`;

const VERTEX = `
precision highp float;
in vec3 position; in vec4 color; in vec4 normal; in vec4 labels; in vec4 confidence;
uniform mat4 modelViewMatrix, projectionMatrix;
uniform vec3 extent, eye, low, high;
uniform vec4 known;
uniform float radius, focal, largest;
uniform int slot, mode, highlight;
uniform bool cull, picking;
uniform sampler2D palette;
flat out vec3 tone;
flat out float pixels;
const vec3 RAMP[${RAMP.length}] = vec3[](${RAMP.map(vec3).join()});
vec3 ramp(float share) {
  float spot = clamp(share, 0.0, 1.0) * ${(RAMP.length - 1).toFixed(1)};
  int below = min(int(spot), ${RAMP.length - 2});
  return mix(RAMP[below], RAMP[below + 1], spot - float(below));
}
void main() {
  vec3 place = position * extent;
  vec4 view = modelViewMatrix * vec4(place, 1.0);
  gl_Position = projectionMatrix * view;
  pixels = clamp(focal * radius / -view.z, 1.5, largest);
  gl_PointSize = pixels;
  vec3 sight = normalize(eye - place);
  float towards = normal == vec4(0) ? 1.0 : dot(normalize(normal.xyz), sight);
  int label = slot < 0 ? 0 : int(labels[slot] + 0.5);
  vec4 entry = texelFetch(palette, ivec2(label & 255, label >> 8), 0);
  bool outside = any(lessThan(position, low)) || any(greaterThan(position, high));
  bool hidden = outside || (cull && towards < 0.0) || (slot >= 0 && entry.a == 0.0);
  if (hidden) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  tone = slot < 0 || mode == 3 ? color.rgb : entry.rgb;
  if (mode == 1 && slot > 0) {
    int right = int(labels[0] + 0.5);
    tone = right == ${NONE} ? ${vec3(UNKNOWN)} : right == label ? ${vec3(RIGHT)} : ${vec3(WRONG)};
  }
  if (mode == 2 && slot >= 0 && known[slot] > 0.0 && label != ${NONE}) tone = ramp(confidence[slot]);
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
