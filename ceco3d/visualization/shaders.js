// Places, colors and hides points. `slot` is the panel: -1 = the original, 0 ... = which of the labels.

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
