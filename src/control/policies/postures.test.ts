import { expect, test } from 'vitest';
import { type HeldPosture, Postures, type PostureStore } from '#control/policies/postures.ts';
import { PresenceBoard, REPORT_SILENCE_LIMIT_MS } from '#control/presence.ts';
import type { SnapshotPosture } from '#trust/snapshot.ts';
import { plainReport } from '../../../tests/fixtures/test-control.ts';

const WALL_MS = 1_000_000_000;
const UP: SnapshotPosture = { version: '1.0.0', os: 'linux', health: 'up', seenAtMs: 0 };
const REPORT = plainReport({ version: '1.0.0', os: 'linux' });

class MapStore implements PostureStore {
  readonly kept = new Map<string, HeldPosture>();
  changes = 0;

  async listPostures(): Promise<ReadonlyMap<string, HeldPosture>> {
    return new Map(this.kept);
  }

  async putPosture(node: string, held: HeldPosture): Promise<void> {
    this.changes++;
    this.kept.set(node, held);
  }

  async changePosture(node: string, held: HeldPosture): Promise<boolean> {
    if (this.kept.get(node)?.holder !== held.holder) return false;
    await this.putPosture(node, held);
    return true;
  }
}

function open(store: MapStore, id = 'one', live?: ReadonlySet<string>) {
  const board = new PresenceBoard();
  const clock = { nowMs: 0 };
  const replica = { id, live: () => live };
  const postures = new Postures({ store, replica, nowMs: () => clock.nowMs, wallMs: () => WALL_MS + clock.nowMs });
  const judge = async (): Promise<SnapshotPosture | undefined> => (await postures.judge(['oslo'], board)).get('oslo');
  const connect = (sessionId: number): void => {
    board.handleOpen('oslo', sessionId, clock.nowMs);
    board.handleReport('oslo', REPORT, clock.nowMs);
  };
  return { board, clock, judge, connect };
}

test('a node is as its session and its reports say, and is written down when that changes', async () => {
  const store = new MapStore();
  const { board, clock, judge, connect } = open(store);
  expect(await judge()).toBeUndefined();
  connect(1);
  expect([await judge(), await judge()]).toEqual([UP, UP]);
  expect(store.changes).toBe(1);
  board.handleReport('oslo', { ...REPORT, drain: 'draining' }, 5);
  expect(await judge()).toMatchObject({ health: 'draining' });
  clock.nowMs = REPORT_SILENCE_LIMIT_MS + 100;
  const down = { ...UP, health: 'down', seenAtMs: WALL_MS + 5 };
  expect(await judge()).toEqual(down);
  clock.nowMs += 60_000;
  expect(await judge()).toEqual(down);
  expect(store.changes).toBe(3);
});

test('a control plane that starts anew keeps its last word until nodes had time to come back', async () => {
  const store = new MapStore();
  store.kept.set('oslo', { posture: UP, holder: 'an earlier start' });
  const { clock, judge } = open(store);
  expect(await judge()).toEqual(UP);
  clock.nowMs = 31_000;
  expect(await judge()).toEqual({ ...UP, health: 'down', seenAtMs: WALL_MS + 31_000 });
});

test('of two control planes the one that a node left does not gainsay the one that it went to', async () => {
  const store = new MapStore();
  const both = new Set(['one', 'two']);
  const [first, second] = [open(store, 'one', both), open(store, 'two', both)];
  first.connect(1);
  expect([await first.judge(), await second.judge()]).toEqual([UP, UP]);
  second.connect(1);
  expect(await second.judge()).toEqual(UP);
  first.board.handleClose('oslo', 1);
  expect([await first.judge(), await second.judge(), await first.judge()]).toEqual([UP, UP, UP]);
  expect(store.changes).toBe(2);
});

test('two sessions of one name at two control planes do not take the word from each other again and again', async () => {
  const store = new MapStore();
  const both = new Set(['one', 'two']);
  const [first, second] = [open(store, 'one', both), open(store, 'two', both)];
  first.connect(1);
  second.connect(1);
  for (let round = 0; round < 5; round++) expect([await first.judge(), await second.judge()]).toEqual([UP, UP]);
  expect(store.changes).toBe(2);
});

test('the nodes of a control plane that is gone are down in the end, said once', async () => {
  const store = new MapStore();
  store.kept.set('oslo', { posture: UP, holder: 'three' });
  const both = new Set(['one', 'two']);
  const [first, second] = [open(store, 'one', both), open(store, 'two', both)];
  expect([await first.judge(), await second.judge()]).toEqual([UP, UP]);
  [first.clock.nowMs, second.clock.nowMs] = [30_001, 31_000];
  const down = { ...UP, health: 'down', seenAtMs: WALL_MS + 30_001 };
  expect([await first.judge(), await second.judge()]).toEqual([down, down]);
  expect(store.changes).toBe(1);
});
