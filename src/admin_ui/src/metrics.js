// SPDX-License-Identifier: Apache-2.0
// The numbers of a window that the strip and the graph show, each straight from the answer of the API.
import { texts } from "./texts.js";

const ofWindow = (name, unit, member, error) => ({
  name,
  title: texts.metrics[name],
  unit,
  member,
  value: (window) => (window?.recorded ? window[member] : null),
  error: (window) => (error && window?.recorded ? window[error] : 0),
});

// An imported log says nothing of durations.
const ofTime = (name, member, error) => {
  const metric = ofWindow(name, "ms", member, error);
  return { ...metric, isWorse: true, value: (window) => (window?.avg_duration_ms > 0 ? metric.value(window) : null) };
};

export const metrics = [
  ofWindow("requests", "count", "total_requests"),
  ofWindow("visitors", "count", "unique_visitors", "unique_visitors_error"),
  ofWindow("page_views", "count", "page_views"),
  { ...ofWindow("errors", "count", "error_count"), isWorse: true },
  ofTime("p50", "p50_duration_ms", "p50_duration_error"),
  ofTime("p95", "p95_duration_ms", "p95_duration_error"),
  ofTime("p99", "p99_duration_ms", "p99_duration_error"),
  ofWindow("bytes", "bytes", "total_bytes"),
  ofWindow("uploads", "count", "file_uploads"),
  ofWindow("downloads", "count", "file_downloads"),
  ofWindow("tokens", "count", "token_uses"),
  ofWindow("bots", "count", "bot_requests"),
];

export const metricOf = (name) => metrics.find((metric) => metric.name === name) ?? metrics[0];
