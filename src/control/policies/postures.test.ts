import { expect, test } from 'vitest';
import { Postures, type PostureStore } from '#control/policies/postures.ts';
import { PresenceBoard, REPORT_SILENCE_LIMIT_MS } from '#control/presence.ts';
import type { SnapshotPosture } from '#trust/snapshot.ts';
import { plainReport } from '../../../tests/fixtures/test-control.ts';

const WALL_MS = 1_000_000_000;
const UP: SnapshotPosture = { version: '1.0.0', os: 'linux', health: 'up', seenAtMs: 0 };

class MapStore implements PostureStore {
  readonly kept = new Map<string, SnapshotPosture>();
  puts = 0;

  async listPostures(): Promise<ReadonlyMap<string, SnapshotPosture>> {
    return new Map(this.kept);
  }

  async putPosture(node: string, posture: SnapshotPosture): Promise<void> {
    this.puts++;
    this.kept.set(node, posture);
  }
}

function open(store: MapStore, isAlone = true) {
  const board = new PresenceBoard();
  const clock = { nowMs: 0 };
  const postures = new Postures({ store, isAlone, nowMs: () => clock.nowMs, wallMs: () => WALL_MS + clock.nowMs });
  const judge = async (): Promise<SnapshotPosture | undefined> => (await postures.judge(['oslo'], board)).get('oslo');
  return { board, clock, judge };
}

test('a node is as its session and its reports say, and is written down when that changes', async () => {
  const store = new MapStore();
  const { board, clock, judge } = open(store);
  expect(await judge()).toBeUndefined();
  board.handleOpen('oslo', 1, 0);
  board.handleReport('oslo', plainReport({ version: '1.0.0', os: 'linux' }), 0);
  expect([await judge(), await judge()]).toEqual([UP, UP]);
  expect(store.puts).toBe(1);
  board.handleReport('oslo', plainReport({ version: '1.0.0', os: 'linux', drain: 'draining' }), 5);
  expect(await judge()).toMatchObject({ health: 'draining' });
  clock.nowMs = REPORT_SILENCE_LIMIT_MS + 100;
  const down = { ...UP, health: 'down', seenAtMs: WALL_MS + 5 };
  expect(await judge()).toEqual(down);
  clock.nowMs += 60_000;
  expect(await judge()).toEqual(down);
});

test('a control plane that starts anew keeps its last word until nodes had time to come back', async () => {
  const store = new MapStore();
  store.kept.set('oslo', UP);
  const { clock, judge } = open(store);
  expect(await judge()).toEqual(UP);
  clock.nowMs = 31_000;
  expect(await judge()).toEqual({ ...UP, health: 'down', seenAtMs: WALL_MS + 31_000 });
});

test('of two control planes the one that a node left does not gainsay the one that it went to', async () => {
  const store = new MapStore();
  const [first, second] = [open(store, false), open(store, false)];
  const report = plainReport({ version: '1.0.0', os: 'linux' });
  first.board.handleOpen('oslo', 1, 0);
  first.board.handleReport('oslo', report, 0);
  expect([await first.judge(), await second.judge()]).toEqual([UP, UP]);
  first.board.handleClose('oslo', 1);
  second.board.handleOpen('oslo', 1, 0);
  second.board.handleReport('oslo', report, 0);
  expect(await first.judge()).toMatchObject({ health: 'down' });
  expect([await second.judge(), await first.judge(), await second.judge()]).toEqual([UP, UP, UP]);
  expect(store.puts).toBe(3);
});
