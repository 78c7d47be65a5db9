// SPDX-License-Identifier: Apache-2.0
import { generate } from "lean-qr";
import { svg } from "../view.js";

const quietModules = 4;

/// A text as a QR code, dark on light in every theme: cameras expect it so.
export function qrCode(text, label) {
  const code = generate(text);
  const size = code.size + 2 * quietModules;
  let path = "";
  for (let y = 0; y < code.size; ++y)
    for (let x = 0; x < code.size; ++x) if (code.get(x, y)) path += `M${x + quietModules} ${y + quietModules}h1v1h-1z`;
  return svg`<svg class="qr" viewBox="0 0 ${size} ${size}" role="img" aria-label=${label} shape-rendering="crispEdges"><rect width=${size} height=${size}></rect><path d=${path}></path></svg>`;
}
