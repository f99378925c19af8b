import { expect, test } from 'vitest';
import { PresenceBoard, REPORT_SILENCE_LIMIT_MS } from '#control/presence.ts';
import { parseNodeReport } from '#control/report.ts';
import type { NodeReport } from '#control/report.ts';
import { nodeStatuses, serviceStatuses } from '#control/status.ts';
import type { StoredNode } from '#control/store.ts';

const report: NodeReport = {
  pid: 4711,
  incarnation: 3,
  relay: true,
  listen: { link: '127.0.0.1:7101', socks: null, http: null, admin: null },
  addresses: ['127.0.0.1:7101'],
  peers: [
    {
      name: 'rome',
      state: 'up',
      detector: 'udp',
      rttMs: 0.3,
      group: 'X25519MLKEM768',
      signature: 'ml-dsa-65',
      notAfter: '2026-11-23T18:00:00Z',
    },
  ],
  counters: { opened: 1 },
  problems: [{ code: 'LINK_DOWN', message: 'rome' }],
  drain: null,
};
const node: StoredNode = {
  node: 'oslo',
  spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo',
  relay: true,
  labels: {},
  links: null,
  addresses: [],
  admittedAtMs: 0,
  revoked: false,
  serial: '01',
  notAfterMs: 0,
};
const instance = { service: 'hello', node: 'oslo', host: '127.0.0.1', port: 80, proxyProtocol: false };

test('a node drains until it goes, is drained after that, and begins anew without', () => {
  const board = new PresenceBoard();
  const states: unknown[] = [];
  const note = (): void => void states.push([board.state('oslo', 2), board.drain('oslo', 2)]);
  board.handleOpen('oslo', 1, 0);
  board.handleReport('oslo', { ...report, drain: 'draining' }, 1);
  note();
  board.handleReport('oslo', { ...report, drain: 'drained' }, 2);
  // A report that was under way when it stopped.
  board.handleReport('oslo', { ...report, drain: 'draining' }, 2);
  board.handleClose('oslo', 1);
  note();
  expect([board.forgetDrained('oslo'), board.forgetDrained('oslo')]).toEqual([true, false]);
  note();
  board.handleOpen('oslo', 2, 2);
  note();
  expect(states).toEqual([
    ['up', 'draining'],
    ['down', 'drained'],
    ['down', null],
    ['up', null],
  ]);
});

test('a node is up while its session is open and reports come', () => {
  const board = new PresenceBoard();
  expect(board.handleReport('oslo', report, 0)).toBe(false);
  expect(board.state('oslo', 0)).toBe('down');
  board.handleOpen('oslo', 1, 0);
  expect(board.state('oslo', REPORT_SILENCE_LIMIT_MS)).toBe('up');
  expect(board.state('oslo', REPORT_SILENCE_LIMIT_MS + 1)).toBe('down');
  expect(board.handleReport('oslo', report, 5_000)).toBe(true);
  expect(board.state('oslo', REPORT_SILENCE_LIMIT_MS + 1)).toBe('up');
  board.handleClose('oslo', 1);
  expect(board.state('oslo', 5_001)).toBe('down');
  expect(board.report('oslo')).toBe(report);
});

test('the close of a replaced session leaves the node up', () => {
  const board = new PresenceBoard();
  board.handleOpen('oslo', 1, 0);
  board.handleOpen('oslo', 2, 0);
  board.handleClose('oslo', 1);
  expect(board.state('oslo', 0)).toBe('up');
  board.forget('oslo');
  expect(board.state('oslo', 0)).toBe('down');
});

test('status shows peers of live nodes only', () => {
  const board = new PresenceBoard();
  board.handleOpen('oslo', 1, 0);
  board.handleReport('oslo', report, 0);
  expect(nodeStatuses([node], [instance], board, 0, 1_000_000)).toMatchObject([
    { name: 'oslo', pid: 4711, state: 'up', peers: [{ name: 'rome' }], services: ['hello'] },
  ]);
  board.handleClose('oslo', 1);
  expect(nodeStatuses([node], [], board, 0, 1_000_000)).toMatchObject([
    { pid: 4711, state: 'down', peers: [], services: [] },
  ]);
  expect(serviceStatuses([instance])).toMatchObject([{ name: 'hello', nodes: ['oslo'] }]);
});

test('a report is taken whole or not at all', () => {
  expect(parseNodeReport(JSON.parse(JSON.stringify(report)))).toEqual(report);
  const bad: unknown[] = [
    null,
    [],
    {},
    { ...report, pid: -1 },
    { ...report, peers: Array.from({ length: 2_000 }, () => report.peers[0]) },
    { ...report, counters: { a: 'b' } },
    { ...report, addresses: ['a'.repeat(1_000)] },
  ];
  expect(bad.map((value) => parseNodeReport(value))).toEqual(bad.map(() => undefined));
});
