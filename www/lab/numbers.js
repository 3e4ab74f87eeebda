// Numbers: the few statistics the page shows, and how quantities are written.

const ENCODER = new TextEncoder();
const INTEGER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** The value below which the share `p` (0 to 1) of the samples lies, by nearest rank; NaN for no samples. */
export function percentile(samples, p) {
  if (samples.length === 0) return NaN;
  const sorted = Float64Array.from(samples).sort();
  const rank = Math.ceil(p * sorted.length);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1];
}

export const median = (samples) => percentile(samples, 0.5);
export const p95 = (samples) => percentile(samples, 0.95);

export function utf8Length(text) {
  return ENCODER.encode(text).length;
}

export function formatMs(ms) {
  if (!Number.isFinite(ms)) return '–';
  if (ms >= 9_950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 9.95 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

export function formatBytes(bytes) {
  if (!Number.isFinite(bytes)) return '–';
  if (bytes < 1024) return `${INTEGER.format(bytes)} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

export function formatCount(count) {
  return Number.isFinite(count) ? INTEGER.format(count) : '–';
}

export function plural(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Round axis marks from 0 up to at least `max`, about `wanted` of them. */
export function ticksUpTo(max, wanted = 4) {
  const rough = Math.max(max, 1e-3) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const count = Math.ceil(max / step - 1e-9) || 1;
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}
