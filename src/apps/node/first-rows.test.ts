import { expect, test } from 'vitest';
import { REPLY_LIMIT_BYTES } from '#io/control-https/session-lines.ts';
import { firstRows } from './first-rows.ts';

test('a list that fits is whole, a longer one says how long it is', () => {
  expect(firstRows('peers', [1, 2], String)).toEqual({ peers: ['1', '2'] });
  const answer = firstRows('streams', Array.from({ length: 12_000 }), () => 'x'.repeat(1_000));
  expect(answer).toMatchObject({ truncated: true, total: 12_000 });
  expect(answer['streams']).toHaveLength(500);
  expect(JSON.stringify(answer).length).toBeLessThan(REPLY_LIMIT_BYTES);
});
