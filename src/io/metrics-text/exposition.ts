import { assert } from '#kernel/assert.ts';
import type { Histogram } from '#kernel/histogram.ts';

/** One value of a metric; a histogram gives all its buckets. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number | Histogram;
}

/** A metric: what it is, and how it is read when somebody asks. */
export interface Metric {
  /** `x0tta6bl4_…`, with the unit last and `_total` for what only grows. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly read: () => Iterable<Sample>;
}

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const NAME = /^x0tta6bl4_[a-z0-9_]+$/;
/** Series of one metric in one answer: labels are codes of the catalogue and neighbours, which are fewer. */
const SERIES_LIMIT = 2_048;

/**
 * Metrics in Prometheus' text format 0.0.4. Every metric says its name also when it has no value, so that what a process has to tell can
 * be read from one answer.
 */
export function writeExposition(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  for (const { name, help, type, read } of metrics) {
    assert(NAME.test(name), `${name} is no name of a metric`);
    lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
    let series = 0;
    for (const sample of read()) {
      if (series++ >= SERIES_LIMIT) break;
      writeSample(lines, name, sample);
    }
  }
  return `${lines.join('\n')}\n`;
}

function writeSample(lines: string[], name: string, { labels = {}, value }: Sample): void {
  if (typeof value === 'number') {
    lines.push(`${name}${writeLabels(labels)} ${writeNumber(value)}`);
    return;
  }
  const cumulative = value.cumulative();
  for (const [i, bound] of value.bounds.entries())
    lines.push(`${name}_bucket${writeLabels({ ...labels, le: writeNumber(bound) })} ${cumulative[i] ?? 0}`);
  lines.push(
    `${name}_bucket${writeLabels({ ...labels, le: '+Inf' })} ${value.count}`,
    `${name}_sum${writeLabels(labels)} ${writeNumber(value.sum)}`,
    `${name}_count${writeLabels(labels)} ${value.count}`,
  );
}

function writeLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escapeValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function writeNumber(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
