// SPDX-License-Identifier: Apache-2.0
import { quantity } from "../format.js";
import { texts } from "../texts.js";
import { html } from "../view.js";

const t = texts.tokens;

/// How near to its end: quiet below a half, then a warning, from four fifths on an alarm.
const nearness = (share) => (share >= 0.8 ? "bad" : share >= 0.5 ? "open" : "good");

export const statusTag = (token) => {
  const kind = { active: "good", exhausted: "bad", revoked: "", expired: "" }[token.status];
  return html`<span class="tag ${kind}">${t.statuses[token.status]}</span>`;
};

/// A bar of what is used; nothing of a token without a limit.
export function usageBar(token) {
  if (token.usage_limit === 0) return html`<span class="quiet-text">${t.unlimited}</span>`;
  const share = Math.min(1, token.usage_count / token.usage_limit);
  const text = t.used(quantity(token.usage_count), quantity(token.usage_limit));
  const isNear = token.status === "active" && share >= 0.8;
  return html`<span class="usage ${nearness(share)}" role="img" aria-label=${isNear ? `${text}, ${t.near}` : text} title=${isNear ? t.near : text}><i .style=${`width:${100 * share}%`}></i></span>`;
}
