import { expect, test } from 'vitest';
import { Histogram } from '#kernel/histogram.ts';
import { type Metric, writeExposition } from '#io/metrics-text/exposition.ts';

function metric(extra: Partial<Metric>): Metric {
  return { name: 'x0tta6bl4_links', help: 'Links.', type: 'gauge', read: () => [], ...extra };
}

test('a metric without a value says that it exists', () => {
  expect(writeExposition([metric({})])).toBe('# HELP x0tta6bl4_links Links.\n# TYPE x0tta6bl4_links gauge\n');
});

test('what a label or a help text holds cannot end its line or its quotes', () => {
  const labels = { peer: 'a"} 1\nx0tta6bl4_evil 2\\' };
  const text = writeExposition([metric({ help: 'one\ntwo \\', read: () => [{ labels, value: 1 }] })]);
  expect(text.trimEnd().split('\n')).toEqual([
    String.raw`# HELP x0tta6bl4_links one\ntwo \\`,
    '# TYPE x0tta6bl4_links gauge',
    String.raw`x0tta6bl4_links{peer="a\"} 1\nx0tta6bl4_evil 2\\"} 1`,
  ]);
});

test('a histogram has all its buckets, the last without end', () => {
  const value = new Histogram([0.5, 1]);
  for (const seconds of [0.25, 0.75, 2]) value.observe(seconds);
  const text = writeExposition([
    metric({ name: 'x0tta6bl4_gap_seconds', type: 'histogram', read: () => [{ labels: { role: 'client' }, value }] }),
  ]);
  expect(text.trimEnd().split('\n').slice(2)).toEqual([
    'x0tta6bl4_gap_seconds_bucket{role="client",le="0.5"} 1',
    'x0tta6bl4_gap_seconds_bucket{role="client",le="1"} 2',
    'x0tta6bl4_gap_seconds_bucket{role="client",le="+Inf"} 3',
    'x0tta6bl4_gap_seconds_sum{role="client"} 3',
    'x0tta6bl4_gap_seconds_count{role="client"} 3',
  ]);
});

test('no answer has series without end, and a name that Prometheus would refuse is a bug', () => {
  const crowd = metric({ read: () => Array.from({ length: 5_000 }, (_, value) => ({ value })) });
  expect(writeExposition([crowd]).split('\n')).toHaveLength(2 + 2_048 + 1);
  expect(() => writeExposition([metric({ name: 'links' })])).toThrow('no name of a metric');
});

test('numbers that JSON has no word for are written as Prometheus reads them', () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e21];
  const text = writeExposition([metric({ read: () => values.map((value) => ({ value })) })]);
  expect(
    text
      .trimEnd()
      .split('\n')
      .slice(2)
      .map((line) => line.split(' ')[1]),
  ).toEqual(['NaN', '+Inf', '-Inf', '1e+21']);
});
