import { expect, test } from 'vitest';
import {
  ADDRESS_LIMIT,
  COUNTER_LIMIT,
  fitReport,
  type NodeReport,
  parseNodeReport,
  PEER_LIMIT,
  PROBLEM_LIMIT,
  REPORT_LIMIT_BYTES,
} from './report.ts';

const word = 'w'.repeat(64);
const address = 'a'.repeat(512);

/** All that there can be is there, twice. */
const huge: NodeReport = {
  pid: Number.MAX_SAFE_INTEGER,
  incarnation: Number.MAX_SAFE_INTEGER,
  relay: false,
  listen: { link: address, socks: address, http: address, admin: address },
  addresses: Array.from({ length: 2 * ADDRESS_LIMIT }, () => address),
  peers: Array.from({ length: 2 * PEER_LIMIT }, () => ({
    name: word,
    state: word,
    detector: 'udp',
    rttMs: -Number.MIN_VALUE,
    group: word,
    signature: word,
    notAfter: word,
  })),
  counters: Object.fromEntries(
    Array.from({ length: 2 * COUNTER_LIMIT }, (_, index) => [`c${index}`.padEnd(64, 'x'), -Number.MIN_VALUE]),
  ),
  problems: Array.from({ length: 2 * PROBLEM_LIMIT }, () => ({ code: word, message: '\u0001'.repeat(1_024) })),
  drain: 'draining',
};

test('a report of a node with more to say than anybody takes is cut to what is taken', () => {
  const report = fitReport({ ...huge, counters: { ...huge.counters, [`${word}x`]: 1 } });
  const text = JSON.stringify(report);
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(REPORT_LIMIT_BYTES);
  expect(parseNodeReport(JSON.parse(text))).toEqual(report);
  expect(report.peers).toHaveLength(PEER_LIMIT);
  expect(report.problems).toHaveLength(PROBLEM_LIMIT);
  expect(parseNodeReport(huge)).toBeUndefined();
});
