import { expect, test } from 'vitest';
import { refusedSamples } from './control-metrics.ts';

test('what was refused is a series for each code', () => {
  expect(refusedSamples({ TOKEN_USED: 2, CERT_REVOKED: 1 })).toEqual([
    { labels: { code: 'TOKEN_USED' }, value: 2 },
    { labels: { code: 'CERT_REVOKED' }, value: 1 },
  ]);
});
