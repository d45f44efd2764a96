#!/usr/bin/env bash
# scripts/bundle_three.sh: build ceco3d/visualization/three.min.js, the part of three.js that the viewer uses. Needs npm.
# PyPI has no package with three.js as a plain file: those that ship it compile it into their own widgets.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$PWD/ceco3d/visualization
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent three@0.187.0 esbuild@0.28.2
cat > entry.js <<'JS'
export { BufferAttribute, BufferGeometry, Color, DataTexture, GLSL3, PerspectiveCamera, Points, RawShaderMaterial, Scene,
  Vector3, WebGLRenderer, WebGLRenderTarget } from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
JS
{
  echo "/*! three.js 0.187.0, MIT License, copyright 2010-2026 three.js authors; see three.LICENSE */"
  npx esbuild entry.js --bundle --minify --format=iife --global-name=THREE --legal-comments=none
} > "$target/three.min.js"
cp node_modules/three/LICENSE "$target/three.LICENSE"
