// SPDX-License-Identifier: Apache-2.0
import { nothing, svg } from "../view.js";

const width = 96;
const height = 24;

/// A line without axes; where a value is null it has a gap.
export function spark(values) {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return nothing;
  const most = Math.max(...known, 1e-9);
  const step = width / (values.length - 1);
  let path = "";
  values.forEach((value, i) => {
    if (value === null) return;
    const joins = i > 0 && values[i - 1] !== null;
    path += `${joins ? "L" : "M"}${(i * step).toFixed(1)} ${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`;
    if (!joins && (values[i + 1] ?? null) === null) path += "h1.5";
  });
  return svg`<svg class="spark" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" aria-hidden="true"><path d=${path}></path></svg>`;
}
