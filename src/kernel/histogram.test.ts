import { expect, test } from 'vitest';
import { Histogram } from '#kernel/histogram.ts';

test('a value counts for every bound that it does not exceed, and always in the sum', () => {
  const histogram = new Histogram([0.1, 1, 10]);
  for (const value of [0.1, 0.5, 5, 50]) histogram.observe(value);
  expect(histogram.cumulative()).toEqual([1, 2, 3]);
  expect([histogram.count, histogram.sum]).toEqual([4, 55.6]);
});

test('bounds that do not rise are a bug', () => {
  expect(() => new Histogram([1, 1])).toThrow('bounds rise');
  expect(() => new Histogram([])).toThrow('bounds rise');
});
