import { parseNodeReport } from '#control/report.ts';
import { check, checkSame, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

const REPORT = {
  pid: 4_711,
  incarnation: 1_800_000_000_000,
  relay: true,
  listen: { link: '127.0.0.1:7101', socks: null, http: '127.0.0.1:8081', admin: null },
  addresses: ['192.0.2.1:7101'],
  peers: [{ name: 'rome', state: 'up', rttMs: 0.3, group: 'X', signature: 'Y', notAfter: '2026-11-23T18:00:00Z' }],
  counters: { 'link-up': 3 },
  problems: [{ code: 'PORT_IN_USE', message: 'taken' }],
};

export const nodeReport: FuzzTarget = {
  name: 'node-report',
  corpus: () => [utf8(JSON.stringify(REPORT)), utf8(JSON.stringify({ ...REPORT, peers: [], counters: {} }))],
  run(input) {
    const value = parseJson(textOf(input));
    const report = parseNodeReport(value);
    if (report === undefined) return false;
    check(report.peers.length <= 1_024 && Object.keys(report.counters).length <= 512, 'bounded');
    checkSame(parseNodeReport(JSON.parse(JSON.stringify(report))), report, 'again');
    return true;
  },
};

/** As fastify does before the report is looked at. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
